// The lessons. Each sentence is about something that is on the screen once `until` holds; that is
// outlined (`look`). Before it comes up the page makes wishes (`do`), as a reader could; where the
// reader has to press a button, that is what is outlined before (`press`). Some ask a `question`.

// What may be waited for: each of these returns a question about the state.
const at_call = (held) => (call, thread = 0, server = 0) => (state) => {
  const one = state.servers[server]?.threads.get(thread);
  return one?.call?.call === call && (one.state === "held") === held;
};
const within = at_call(false), before = at_call(true);
const a_worker = (does) => (state) =>
  [...(state.servers[0]?.threads.values() ?? [])].some((one) => one.number && does(one));
const watched = (count, server = 0) => (state) => state.servers[server]?.set.size === count;
const got = (client, text) => (state) => state.clients.get(client)?.at[0]?.got === text;
const unread = (client, bytes) => (state) =>
  Object.entries(state.servers[0]?.kernel?.connections ?? {}).some(([peer, [size]]) =>
    state.servers[0].names.get(peer) === client && size === bytes);
const waiting = (client) => (state) =>
  state.servers[0]?.kernel?.backlog.some((peer) => state.servers[0].names.get(peer) === client);
const all = (...those) => (state) => those.every((one) => one(state));
const any = (...those) => (state) => those.some((one) => one(state));

const add = (kind) => ({ do: "add", kind });
const write = (client, text = "^a$") => ({ do: "write", client, text });
const HOLD = { do: "mode", paused: true }, GO = { do: "mode", paused: false };
const THREADS = ".threads", FIRST = ".threads li", BACKLOG = ".backlog", TIME = ".time", STEP = "#step";
const row = (client) => `tr[data-peer="${client}"]`;
const of_client = (client) => `li[data-client="${client}"]`;

const LESSONS = {
  1: { programs: ["step1_sequential/minimal"], steps: [
    {
      look: FIRST, until: within("accept"),
      en: "One program, one thread. It sleeps in accept, until somebody connects. While it sleeps it uses no CPU time.",
      ko: "프로그램 하나, 스레드 하나입니다. 누군가 접속할 때까지 accept에서 잠들어 있습니다. 자는 동안에는 CPU 시간을 전혀 쓰지 않습니다.",
    },
    {
      do: [add("silent")], look: FIRST, until: within("recv"),
      en: "c1 has connected. accept returned a new socket for it, the server sent its greeting, *, and the thread now sleeps in recv until c1 sends something or leaves.",
      ko: "c1이 접속했습니다. accept가 c1의 새 소켓을 들고 돌아왔고, 서버는 인사말 *를 보냈습니다. 이제 스레드는 c1이 무언가 말하거나 떠날 때까지 recv에서 잡니다.",
    },
    {
      do: [add("by hand")], look: BACKLOG, until: waiting("c2"),
      en: "c2 has connected too: the kernel did that on its own. c2 waits in the backlog, connected and not yet accepted, until the program calls accept.",
      ko: "c2도 접속했습니다. 커널이 프로그램과 상관없이 알아서 연결을 맺었습니다. 연결은 되었지만 아직 accept되지 않은 c2는, 프로그램이 accept를 부를 때까지 백로그에서 기다립니다.",
    },
    {
      look: FIRST, until: within("recv"),
      en: "c2 is about to send three bytes, ^a$.",
      ko: "이제 c2가 ^a$, 3바이트를 보내려 합니다.",
      question: { en: "Which call returns?", ko: "어느 호출이 돌아올까요?" },
      choices: [{ en: "recv returns", ko: "recv가 돌아온다" }, { en: "accept returns", ko: "accept가 돌아온다" }, { en: "no call returns", ko: "아무 호출도 돌아오지 않는다" }],
      right: 2,
      because: {
        en: "The thread waits in recv on c1's socket, and it is not in accept.",
        ko: "지금의 recv는 c1의 소켓만 보고 있고, 스레드는 accept를 부르지도 않았습니다.",
      },
    },
    {
      do: [write("c2")], look: row("c2"), until: unread("c2", 3),
      en: "The three bytes have arrived in the kernel, and nobody reads them. The thread is still asleep, waiting for c1.",
      ko: "3바이트가 커널에 도착했지만 읽는 쪽이 없습니다. 스레드는 여전히 c1을 기다리며 잡니다.",
    },
    {
      do: [{ do: "remove", client: "c1" }], look: of_client("c2"), until: got("c2", "*b"),
      en: "c1 has left: recv returned no bytes, which is the end, so the program closed c1 and went back to accept. c2 was there already, and so were its bytes: it has its answer, the a moved on by one.",
      ko: "c1이 떠났습니다. recv가 끝이라는 뜻으로 0바이트를 돌려주어, 프로그램은 c1을 닫고 accept로 돌아왔습니다. c2도, c2가 보낸 바이트도 이미 와 있었으므로 곧바로 답을 받았습니다. a를 하나 옮긴 b입니다.",
    },
  ] },
  2: { programs: ["step2_thread_per_client/minimal"], steps: [
    {
      do: [add("by hand"), add("by hand")], look: THREADS,
      until: all(within("accept"), within("recv", 1), within("recv", 2)),
      en: "Each client has a thread of its own. Three threads sleep, each in its own call: the main one in accept, the others in recv.",
      ko: "클라이언트마다 자기 스레드가 있습니다. 세 스레드가 저마다의 호출에서 잡니다. 메인 스레드는 accept에서, 나머지는 recv에서 잡니다.",
    },
    {
      do: [HOLD, write("c1", "^a$"), write("c2", "^b$")], look: THREADS,
      until: all(before("sendall", 1), before("sendall", 2)),
      en: "Now the threads are held before their next call, and both clients have sent. Both recvs returned, and each thread is stopped just before its sendall. Which one the system would run next is not defined. Here you decide.",
      ko: "이제 스레드들은 다음 호출 직전에 멈춰 있고, 두 클라이언트 모두 보냈습니다. 두 recv가 다 돌아와서 스레드마다 sendall 앞에 서 있습니다. 시스템이 어느 쪽을 먼저 실행할지는 정해져 있지 않습니다. 여기서는 여러분이 고릅니다.",
    },
    {
      look: '.threads li[data-state="held"] button',
      until: any(before("sendall", 1), before("sendall", 2)),
      en: "You will let one thread make one call, with the button beside it.",
      ko: "이제 스레드 옆의 버튼으로 스레드 하나에 호출 하나를 시켜 볼 것입니다.",
      question: { en: "What happens?", ko: "어떻게 될까요?" },
      choices: [{ en: "one client gets its answer", ko: "클라이언트 하나만 답을 받는다" }, { en: "both do", ko: "둘 다 받는다" }, { en: "neither, until both have been pressed", ko: "둘 다 누를 때까지 아무도 받지 못한다" }],
      right: 0,
      because: {
        en: "A thread waits for no other.",
        ko: "스레드는 다른 스레드를 기다리지 않습니다.",
      },
    },
    {
      look: "#clients", press: '.threads li[data-call="sendall"] button',
      until: (state) => got("c1", "*b")(state) !== got("c2", "*c")(state),
      en: "Press 'one call' beside thread 1 or thread 2: only the client of the thread that you chose gets its answer. The other's is ready, and waits for its thread.",
      ko: "스레드 1이나 스레드 2 옆의 ‘호출 하나’를 누르세요. 고른 스레드의 클라이언트만 답을 받습니다. 다른 클라이언트의 답도 준비는 되었지만, 자기 스레드를 기다립니다.",
    },
    {
      do: [GO], look: "#clients", until: all(got("c1", "*b"), got("c2", "*c")),
      en: "Released, the other thread does the same. Either order is right, because the two share nothing.",
      ko: "계속하게 하자 다른 스레드도 똑같이 했습니다. 둘 사이에는 공유하는 것이 없으니, 어느 순서로 하든 두 답 모두 맞습니다.",
    },
  ] },
  3: { programs: ["step3_blocking/minimal"], steps: [
    {
      look: TIME, until: within("accept"),
      en: "The program of step 1 again. Look at the lane of its thread: light is time in a call, and nearly all of it is that. Dark, which is when it runs, is hardly to be seen.",
      ko: "다시 1단계의 프로그램입니다. 스레드의 줄을 보세요. 연한 색은 호출 안에서 보낸 시간인데, 거의 전부가 연한 색입니다. 실행 중이라는 뜻의 진한 색은 거의 보이지 않습니다.",
    },
    {
      do: [add("by hand"), add("by hand"), write("c2")], look: FIRST,
      until: all(within("recv"), unread("c2", 3)),
      en: "c1 says nothing, c2 has sent. The thread is in recv for c1.",
      ko: "c1은 말이 없고 c2는 보냈습니다. 스레드는 c1을 위한 recv 안에 있습니다.",
      question: { en: "What is the thread doing?", ko: "스레드는 지금 무엇을 할까요?" },
      choices: [{ en: "it looks at c1 again and again", ko: "c1을 거듭 들여다본다" }, { en: "the kernel has put it to sleep, and will wake it", ko: "커널이 재워 두었고, 때가 되면 깨운다" }, { en: "it looks whether somebody else has sent", ko: "다른 누군가 보냈는지 살펴본다" }],
      right: 1,
      because: {
        en: "It has made one call, which has not come back. Count the calls: there are no new ones.",
        ko: "스레드가 부른 호출은 하나이고, 아직 돌아오지 않았습니다. 호출 수를 세어 보세요. 늘지 않습니다.",
      },
    },
    {
      do: [write("c1")], look: of_client("c1"), until: got("c1", "*b"),
      en: "c1 has sent: the kernel woke the thread, recv came back, and the answer went out. The bytes of c2 had not woken it, because recv was called on c1's socket.",
      ko: "c1이 보냈습니다. 커널이 스레드를 깨우고, recv가 돌아오고, 답이 나갔습니다. c2의 바이트가 왔을 때는 깨어나지 않았습니다. recv에 넘긴 것은 c1의 소켓이기 때문입니다.",
    },
    {
      do: [{ do: "remove", client: "c1" }], look: of_client("c2"), until: got("c2", "*b"),
      en: "One thread, one call, one place to sleep: so one client at a time. The next steps ask for a call that does not sleep, and then for one that sleeps for all of them.",
      ko: "스레드 하나, 호출 하나, 잠드는 곳도 하나입니다. 그래서 한 번에 클라이언트 하나뿐입니다. 다음 단계들은 잠들지 않는 호출을, 그다음에는 모두를 위해 한꺼번에 잠드는 호출을 찾습니다.",
    },
  ] },
  4: { programs: ["step4_nonblocking_polling/minimal"], steps: [
    {
      look: ".time h2", until: (state) => state.servers[0]?.vain > 20,
      en: "Nobody has connected, yet the program keeps asking: each round accept returns at once with EAGAIN, 'nothing now'. Watch the number of calls in vain grow.",
      ko: "아무도 접속하지 않았는데 프로그램은 계속 묻습니다. 한 바퀴 돌 때마다 accept가 ‘지금은 없다’는 뜻의 EAGAIN을 내며 곧바로 돌아옵니다. 헛수고한 호출의 수가 늘어나는 것을 보세요.",
    },
    {
      do: [HOLD], look: STEP, until: any(before("accept"), before("sleep")),
      en: "Now it is held. Each press of 'one call' lets it make one.",
      ko: "이제 멈춰 세웠습니다. ‘호출 하나’를 누를 때마다 호출을 하나씩 합니다.",
      question: { en: "What will you see if you press it a few times?", ko: "몇 번 누르면 무엇이 보일까요?" },
      choices: [{ en: "accept, accept, accept", ko: "accept, accept, accept" }, { en: "accept and sleep in turn", ko: "accept와 sleep이 번갈아" }, { en: "accept, and then nothing more", ko: "accept 한 번, 그 뒤로는 없음" }],
      right: 1,
      because: {
        en: "Without the sleep it would ask as fast as it can, and use a whole core. Try it.",
        ko: "sleep이 없으면 할 수 있는 한 빨리 되풀이해 물어서 코어 하나를 다 씁니다. 눌러 보세요.",
      },
    },
    {
      do: [add("silent"), add("by hand"), GO], look: "#calls",
      until: (state) => state.servers[0]?.peers.size === 2,
      en: "Two clients, both silent: now each round has three calls in vain, one for each socket.",
      ko: "클라이언트가 둘이지만 아무 말도 하지 않습니다. 이제 한 바퀴마다 헛수고가 세 번입니다. 소켓마다 한 번씩입니다.",
    },
    {
      do: [write("c2")], look: of_client("c2"), until: got("c2", "*b"),
      en: "c2 has sent, and got its answer when its turn came: up to one sleep later. A longer sleep means fewer calls in vain and later answers; no length is right.",
      ko: "c2가 보냈고, 제 차례가 왔을 때 답을 받았습니다. 길게는 sleep 한 번만큼 늦습니다. sleep을 늘리면 헛수고는 줄고 답은 늦어집니다. 딱 맞는 길이는 없습니다.",
    },
  ] },
  5: { programs: ["step5_select/minimal"], steps: [
    {
      do: [add("silent"), add("by hand")], look: ".set", until: all(within("select"), watched(3)),
      en: "One call watches them all: select is handed the listening socket and both clients, and sleeps until one of them is ready. c2 is about to send.",
      ko: "호출 하나가 모두를 지켜봅니다. select는 리스닝 소켓과 두 클라이언트를 넘겨받아, 누군가 준비될 때까지 잡니다. 이제 c2가 보내려 합니다.",
      question: { en: "What happens first?", ko: "맨 먼저 무슨 일이 일어날까요?" },
      choices: [{ en: "select comes back with c2", ko: "select가 c2를 들고 돌아온다" }, { en: "recv comes back with the bytes", ko: "recv가 바이트를 들고 돌아온다" }, { en: "select comes back with all three", ko: "select가 셋을 다 들고 돌아온다" }],
      right: 0,
      because: {
        en: "select says who is ready; it reads nothing.",
        ko: "select는 누가 준비되었는지 말할 뿐, 아무것도 읽지 않습니다.",
      },
    },
    {
      do: [HOLD, write("c2")], look: ".ready",
      until: all(before("recv"), (state) => state.servers[0].ready?.length === 1),
      en: "select came back with c2. The thread is held before recv, and this recv will not sleep: the bytes are there.",
      ko: "select가 c2를 들고 돌아왔습니다. 스레드는 recv 직전에 멈춰 있습니다. 바이트가 이미 와 있으니 이 recv는 잠들지 않습니다.",
    },
    {
      look: STEP, press: STEP, until: any(before("sendall"), before("select")),
      en: "Press 'one call': recv reads the bytes, and the next call will send the answer.",
      ko: "‘호출 하나’를 누르세요. recv가 바이트를 읽고, 다음 호출이 답을 보냅니다.",
    },
    {
      look: ".set", press: STEP, until: before("select"),
      en: "Press 'one call' once more: the answer goes out, and the thread is back before select. The whole set is handed over again: the kernel has kept nothing.",
      ko: "‘호출 하나’를 한 번 더 누르세요. 답이 나가고 스레드는 다시 select 직전입니다. 집합을 통째로 또 넘깁니다. 커널은 아무것도 간직하지 않았습니다.",
    },
    {
      do: [GO], look: FIRST, until: within("select"),
      en: "So one thread serves all, and no call is in vain. The price is that set: with a thousand clients it is a thousand long, at each call.",
      ko: "이렇게 스레드 하나가 모두를 처리하고, 헛수고하는 호출은 없습니다. 그 대가가 저 집합입니다. 클라이언트가 천 개이면 호출할 때마다 길이가 천인 집합을 넘깁니다.",
    },
  ] },
  6: { programs: ["step5_select/minimal", "step6_epoll_kqueue/minimal"], steps: [
    {
      do: [add("silent"), add("by hand")], look: ".server:nth-child(2) .set",
      until: all(watched(3), watched(3, 1)),
      en: "Two programs, with the same clients. The one with select hands the set over. For the one with epoll the kernel keeps it: it was told once of each socket.",
      ko: "프로그램 둘에 같은 클라이언트들입니다. select 쪽은 집합을 넘깁니다. epoll 쪽에서는 커널이 집합을 간직합니다. 소켓마다 한 번만 알려 두었습니다.",
      question: { en: "What is epoll's next wait handed?", ko: "epoll은 다음에 기다릴 때 무엇을 넘겨받을까요?" },
      choices: [{ en: "the set again, all of it", ko: "집합 전체를 다시" }, { en: "nothing", ko: "아무것도 넘겨받지 않는다" }, { en: "c2, which is ready", ko: "준비된 c2" }],
      right: 1,
      because: {
        en: "It has the list already.",
        ko: "목록은 커널이 이미 가지고 있습니다.",
      },
    },
    {
      do: [HOLD, write("c2")], look: ".server:nth-child(2) .ready",
      until: all(before("recv"), before("recv", 0, 1)),
      en: "c2 has sent the same to both. Both calls came back with c2, and both programs are held before recv.",
      ko: "c2가 양쪽에 같은 것을 보냈습니다. 두 호출 모두 c2를 들고 돌아왔고, 두 프로그램 모두 recv 직전에 멈춰 있습니다.",
    },
    {
      look: STEP, press: STEP, until: all(before("sendall"), before("sendall", 0, 1)),
      en: "Press 'one call' at the top of the page: both programs make one. Up to here they do the same.",
      ko: "페이지 맨 위의 ‘호출 하나’를 누르세요. 프로그램마다 호출을 하나씩 합니다. 여기까지는 둘이 똑같습니다.",
    },
    {
      look: ".server:nth-child(2) .threads", press: STEP,
      until: all(before("select"), before("epoll.poll", 0, 1)),
      en: "Once more. Now the one is before select, with three sockets; the other before epoll.poll, with none.",
      ko: "한 번 더 누르세요. 한쪽의 다음 호출은 소켓 세 개를 넘기는 select이고, 다른 쪽의 다음 호출은 아무것도 넘기지 않는 epoll.poll입니다.",
    },
    {
      do: [GO], look: ".server:nth-child(2) .set", until: within("epoll.poll", 0, 1),
      en: "The more clients are silent, the more this saves: select is handed them all, epoll names those who are ready.",
      ko: "말 없는 클라이언트가 많을수록 이득이 커집니다. select는 그 모두를 넘겨받고, epoll은 준비된 것만 말합니다.",
    },
  ] },
  7: { programs: ["step7_event_loop_threadpool/prime_server"], steps: [
    {
      do: [add("by hand")], look: ".set",
      until: all((state) => WAITS.test(state.servers[0]?.threads.get(0)?.call?.call), watched(3)),
      en: "A loop: it sleeps until a socket is ready, or a second is over, and calls the function registered for that socket. Beside the listening socket and c1 there is one more: wake-up, a socket by which the program sends to itself.",
      ko: "이벤트 루프입니다. 소켓이 준비되거나 1초가 지날 때까지 자다가, 그 소켓에 등록해 둔 함수를 부릅니다. 리스닝 소켓과 c1 말고도 하나가 더 있습니다. 프로그램이 자기 자신에게 보내는 ‘웨이크업 소켓’입니다.",
    },
    {
      do: [write("c1", "999999999999999989\n")], look: THREADS,
      until: a_worker((one) => one.state === "runs" && !one.idle),
      en: "c1 asks whether a large number is prime, which takes a minute or more. A worker of the pool computes, and the loop is back in its wait: it is free.",
      ko: "c1이 큰 수가 소수인지 묻습니다. 1분 이상 걸리는 일입니다. 풀의 워커 하나가 계산하고, 루프는 어느새 기다리는 호출로 돌아와 있습니다. 루프는 한가합니다.",
    },
    {
      do: [add("by hand"), write("c2", "7\n")], look: of_client("c2"),
      until: got("c2", "prime\n"),
      en: "c2 asked for a small one, 7, and has its answer. c1 still waits for its own.",
      ko: "c2는 작은 수 7을 물었고 이미 답을 받았습니다. c1은 아직 기다립니다.",
    },
    {
      do: [HOLD, write("c2", "11\n")], look: THREADS,
      press: '.threads li:first-child[data-state="held"] button',
      until: a_worker((one) => one.state === "held" && one.call.call === "send"),
      en: "c2 has asked again, about 11, and the threads are held. Press 'one call' beside the main thread a few times: it reads the question, and a worker works it out. The worker is then held before send: it may not write to c2 itself, so it sends one byte to wake-up.",
      ko: "c2가 다시 11을 물었고, 스레드들은 멈춰 있습니다. 메인 스레드 옆의 ‘호출 하나’를 몇 번 누르세요. 메인 스레드가 요청을 읽고 워커가 계산합니다. 그 워커는 send 직전에 멈춥니다. c2에 직접 써서는 안 되므로, 웨이크업 소켓에 1바이트를 보내려는 것입니다.",
    },
    {
      look: ".loop", press: '.threads li[data-call="send"][data-state="held"] button',
      until: (state) => state.servers[0]?.wake > 0,
      en: "Press 'one call' beside that worker: the byte is on its way to the loop, and wakes it.",
      ko: "그 워커 옆의 ‘호출 하나’를 누르세요. 바이트가 루프로 가서 루프를 깨웁니다.",
    },
    {
      do: [GO], look: of_client("c2"), until: got("c2", "prime\nprime\n"),
      en: "Released, the loop woke, read the byte, and sent the answer. No two threads ever touch the same client.",
      ko: "계속하게 했습니다. 루프가 깨어나 바이트를 읽고, 답은 루프가 직접 보냈습니다. 두 스레드가 같은 클라이언트를 건드리는 일은 없습니다.",
    },
  ] },
};
