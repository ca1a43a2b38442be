"""Callbacks for each client, by Twisted."""

from typing import Any

from twisted.internet import reactor as default_reactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from common import serving
from common.framing import ACK, Framing
from lab.bench.peers import HOST, announce

reactor: Any = default_reactor  # its type is only known when it runs, and a transport's too


@implementer(IHalfCloseableProtocol)
class Conversation(Protocol):
    """The callbacks for one client."""

    transport: Any

    def connectionMade(self) -> None:  # noqa: N802, the library's name
        """Greet a client that has come."""
        self.transport.setTcpNoDelay(True)
        # While what is unsent piles up it does not read: what it reads is all that it sends.
        self.transport.registerProducer(self.transport, True)
        self.framing = Framing()
        self.transport.write(ACK)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Answer what has arrived."""
        self.transport.write(self.framing.feed(data))

    def readConnectionLost(self) -> None:  # noqa: N802
        """Close when all is sent: the client has sent everything."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:  # noqa: N802
        """Nothing to do."""


def serve(port: int) -> None:
    """Serve until told to stop."""
    factory = Factory.forProtocol(Conversation)
    listening = reactor.listenTCP(port, factory, serving.BACKLOG, HOST)
    announce(listening.getHost().port)
    reactor.run(installSignalHandlers=False)
