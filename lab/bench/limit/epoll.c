/* The limit: the protocol in C on bare epoll(7), written for speed.
 *
 *     cc -O2 -o server epoll.c && ./server PORT
 *
 * One thread, one buffer for all. What was read is answered at once; what the kernel does
 * not take is kept for the client, who is not read from until it is sent.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, EVENTS = 512, RETRY_MS = 100 };

struct client {
	int fd;
	int in_frame;
	size_t begin, end; /* of what is unsent */
	char *unsent;
};

static struct client listener;
static char buffer[BUFFER];
static int queue, paused;

/* Turn `size` bytes of the buffer into what is owed for them, in place; return how many. */
static size_t feed(struct client *client, size_t size)
{
	char *in = buffer, *end = buffer + size, *out = buffer;

	while (in < end) {
		if (!client->in_frame) {
			in = memchr(in, '^', end - in);
			if (!in)
				break;
			in++;
			client->in_frame = 1;
		}
		char *mark = memchr(in, '$', end - in);
		size_t length = (mark ? mark : end) - in;
		for (size_t i = 0; i < length; i++)
			out[i] = in[i] + 1;
		out += length;
		in += length;
		if (mark) {
			in++;
			client->in_frame = 0;
		}
	}
	return out - buffer;
}

static void watch(struct client *client, int operation, unsigned events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};

	if (epoll_ctl(queue, operation, client->fd, &event) < 0 && operation == EPOLL_CTL_ADD) {
		perror("epoll_ctl");
		exit(1);
	}
}

/* Each client has at most one event in a batch, so nobody meets one that was dropped in it. */
static void drop(struct client *client)
{
	close(client->fd);
	free(client->unsent);
	free(client);
}

/* Send what was just worked out, and keep what the kernel does not take. */
static void answer(struct client *client, const char *data, size_t size)
{
	ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN) {
		drop(client);
		return;
	}
	if (sent < 0)
		sent = 0;
	if ((size_t)sent == size)
		return;
	client->begin = 0;
	client->end = size - sent;
	client->unsent = malloc(client->end);
	if (!client->unsent) {
		drop(client);
		return;
	}
	memcpy(client->unsent, data + sent, client->end);
	watch(client, EPOLL_CTL_MOD, EPOLLOUT);
}

static void send_rest(struct client *client)
{
	size_t left = client->end - client->begin;
	ssize_t sent = send(client->fd, client->unsent + client->begin, left, MSG_NOSIGNAL);

	if (sent < 0) {
		if (errno != EAGAIN)
			drop(client);
		return;
	}
	client->begin += sent;
	if (client->begin < client->end)
		return;
	free(client->unsent);
	client->unsent = NULL;
	watch(client, EPOLL_CTL_MOD, EPOLLIN);
}

static void receive(struct client *client)
{
	ssize_t size = recv(client->fd, buffer, BUFFER, 0);

	if (size > 0) {
		size_t owed = feed(client, size);
		if (owed)
			answer(client, buffer, owed);
	} else if (size == 0 || errno != EAGAIN) {
		drop(client);
	}
}

static void accept_client(void)
{
	int fd = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK);
	struct client *client;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			paused = 1; /* it would be ready, and fail, again and again */
			watch(&listener, EPOLL_CTL_MOD, 0);
		}
		return;
	}
	client = calloc(1, sizeof *client);
	if (!client) {
		close(fd);
		return;
	}
	client->fd = fd;
	watch(client, EPOLL_CTL_ADD, EPOLLIN);
	answer(client, "*", 1);
}

static int listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted ones inherit it */
	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1024) < 0) {
		perror("cannot listen");
		exit(1);
	}
	getsockname(fd, (struct sockaddr *)&address, &size);
	printf("Serving on 127.0.0.1:%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void end(int number)
{
	(void)number;
	_exit(0);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct rlimit limit;

	signal(SIGTERM, end);
	signal(SIGINT, end);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	queue = epoll_create1(0);
	listener.fd = listen_on(argc > 1 ? atoi(argv[1]) : 8080);
	watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
	for (;;) {
		int count = epoll_wait(queue, events, EVENTS, paused ? RETRY_MS : -1);
		if (paused) { /* perhaps there is room again */
			paused = 0;
			watch(&listener, EPOLL_CTL_MOD, EPOLLIN);
		}
		for (int i = 0; i < count; i++) {
			struct client *client = events[i].data.ptr;
			if (client == &listener)
				accept_client();
			else if (client->unsent)
				send_rest(client);
			else
				receive(client);
		}
	}
}
