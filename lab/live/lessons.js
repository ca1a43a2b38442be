// The lessons. Each sentence is about something that is on the screen once `until` holds; that is
// outlined (`look`). Before it comes up the page makes wishes (`do`), as a reader could; where the
// reader has to press a button it is what is outlined.

const at_call = (state, thread, call, held = false, server = 0) => {
  const one = state.servers[server]?.threads.get(thread);
  return one?.call?.call === call && (one.state === "held") === held;
};
const got = (state, client, server = 0) => state.clients.get(client)?.at[server]?.got ?? "";
const unread = (state, client) => {
  const s = state.servers[0];
  return Object.entries(s?.kernel?.connections ?? {}).find(([peer]) => s.names.get(peer) === client)?.[1][0] ?? 0;
};
const waiting = (state, client) => (state.servers[0]?.kernel?.backlog ?? []).some((one) => state.servers[0].names.get(one) === client);
const add = (kind) => ({ do: "add", kind });
const write = (client, text = "^a$") => ({ do: "write", client, text });
const HOLD = { do: "mode", paused: true }, GO = { do: "mode", paused: false };
const THREADS = ".threads", FIRST = ".threads li", BACKLOG = ".backlog", TIME = ".time", STEP = "#step";
const row = (client) => `tr[data-peer="${client}"]`, of_client = (client) => `li[data-client="${client}"]`;

const LESSONS = {
  1: {
    programs: ["step1_sequential/minimal"],
    steps: [
      {
        look: FIRST,
        until: (state) => at_call(state, 0, "accept"),
        say: { en: "One program, one thread. It sleeps in accept, until somebody connects. While it sleeps it uses no time of the processor." },
      },
      {
        do: [add("silent")],
        look: FIRST,
        until: (state) => at_call(state, 0, "recv"),
        say: { en: "c1 has connected. accept came back with a socket for it, the * was sent, and now the thread sleeps in recv: until c1 says something, or leaves." },
      },
      {
        do: [add("by hand")],
        look: BACKLOG,
        until: (state) => waiting(state, "c2"),
        say: { en: "c2 has connected as well; the kernel does that without the program. c2 is in the backlog until the program calls accept." },
      },
      {
        look: FIRST,
        until: (state) => at_call(state, 0, "recv"),
        say: { en: "c2 is about to send three bytes." },
        ask: {
          choices: [{ en: "recv returns" }, { en: "accept returns" }, { en: "no call returns" }],
          right: 2,
          because: { en: "This recv is about c1's socket, and accept is not called." },
        },
      },
      {
        do: [write("c2")],
        look: row("c2"),
        until: (state) => unread(state, "c2") === 3,
        say: { en: "The three bytes have arrived in the kernel, and nobody reads them. The thread still sleeps for c1." },
      },
      {
        do: [{ do: "remove", client: "c1" }],
        look: of_client("c2"),
        until: (state) => got(state, "c2") === "*b",
        say: { en: "c1 has left: recv returned nothing, and the program came back to accept. c2 was there already, and so were its bytes: it has its answer." },
      },
    ],
  },
  2: {
    programs: ["step2_thread_per_client/minimal"],
    steps: [
      {
        do: [add("by hand"), add("by hand")],
        look: THREADS,
        until: (state) => at_call(state, 0, "accept") && [1, 2].every((one) => at_call(state, one, "recv")),
        say: { en: "Each client has a thread of its own. Three threads sleep, each in its own call: the main one in accept, the others in recv." },
      },
      {
        do: [HOLD, write("c1", "^a$"), write("c2", "^b$")],
        look: THREADS,
        until: (state) => [1, 2].every((one) => at_call(state, one, "sendall", true)),
        say: { en: "Now the threads are held before their next call, and both clients have sent. Both recv came back; each thread is before its sendall. Which of them the system runs next nobody has promised. Here you choose." },
      },
      {
        look: '.threads li[data-state="held"] button',
        until: (state) => [1, 2].some((one) => at_call(state, one, "sendall", true)),
        say: { en: "Press this button, or the other thread's. What do you expect?" },
        ask: {
          choices: [{ en: "one client gets its answer" }, { en: "both do" }, { en: "neither, until both have been pressed" }],
          right: 0,
          because: { en: "A thread waits for nobody. Press one of them and see." },
        },
      },
      {
        look: "#clients",
        until: (state) => (got(state, "c1") === "*b") !== (got(state, "c2") === "*c"),
        press: '.threads li[data-call="sendall"] button',
        say: { en: "Only the client of the thread that you chose has its answer. The other's is ready, and waits for its thread." },
      },
      {
        do: [GO],
        look: "#clients",
        until: (state) => got(state, "c1") === "*b" && got(state, "c2") === "*c",
        say: { en: "Let go, the other thread does the same. In either order both answers are right, since the two have nothing in common." },
      },
    ],
  },
  3: {
    programs: ["step3_blocking/minimal"],
    steps: [
      {
        look: TIME,
        until: (state) => at_call(state, 0, "accept"),
        say: { en: "The program of step 1 again. Look at the lane of its thread: light is time in a call. There is next to nothing dark, which is when it runs." },
      },
      {
        do: [add("silent"), add("by hand"), write("c2")],
        look: FIRST,
        until: (state) => at_call(state, 0, "recv") && unread(state, "c2") === 3,
        say: { en: "c1 is silent, c2 has sent. The thread is in recv for c1." },
        ask: {
          choices: [{ en: "it looks at c1 again and again" }, { en: "the kernel has put it to sleep, and will wake it" }, { en: "it looks whether somebody else has sent" }],
          right: 1,
          because: { en: "It has made one call, which has not come back. Count the calls: there are no new ones." },
        },
      },
      {
        do: [write("c1")],
        look: of_client("c1"),
        until: (state) => got(state, "c1") === "*b",
        say: { en: "c1 has sent: the kernel woke the thread, recv came back, and the answer went out. The bytes of c2 would not have woken it: it had named c1." },
      },
      {
        do: [{ do: "remove", client: "c1" }],
        look: of_client("c2"),
        until: (state) => got(state, "c2") === "*b",
        say: { en: "One thread, one call, one place to sleep: so one client at a time. The next steps ask for a call that does not sleep, and then for one that sleeps for all of them." },
      },
    ],
  },
  4: {
    programs: ["step4_nonblocking_polling/minimal"],
    steps: [
      {
        look: ".time h2",
        until: (state) => state.servers[0]?.vain > 20,
        say: { en: "Nobody has connected, and the program is busy: every round it asks the listening socket, and accept fails with EAGAIN, not now. See the number of calls in vain grow." },
      },
      {
        do: [HOLD],
        look: STEP,
        until: (state) => at_call(state, 0, "accept", true) || at_call(state, 0, "sleep", true),
        say: { en: "Now it is held. Press 'one call' a few times." },
        ask: {
          choices: [{ en: "accept, accept, accept" }, { en: "accept and sleep in turn" }, { en: "accept, and then nothing more" }],
          right: 1,
          because: { en: "Without the sleep it would ask for ever, as fast as it can." },
        },
      },
      {
        do: [add("silent"), add("by hand"), GO],
        look: "#calls",
        until: (state) => state.servers[0]?.peers.size === 2,
        say: { en: "Two clients, of whom none says anything: now each round has three calls in vain, one for each socket." },
      },
      {
        do: [write("c2")],
        look: of_client("c2"),
        until: (state) => got(state, "c2") === "*b",
        say: { en: "c2 has sent, and got its answer when its turn came: up to one sleep later. A longer sleep is fewer calls in vain and later answers; there is no right length." },
      },
    ],
  },
  5: {
    programs: ["step5_select/minimal"],
    steps: [
      {
        do: [add("silent"), add("by hand")],
        look: ".set",
        until: (state) => at_call(state, 0, "select") && state.servers[0].set.size === 3,
        say: { en: "One call is about all of them: select is handed the listening socket and both clients, and sleeps until one is ready." },
        ask: {
          choices: [{ en: "select comes back with c2" }, { en: "recv comes back with the bytes" }, { en: "select comes back with all three" }],
          right: 0,
          because: { en: "c2 is about to send. select says who is ready; it reads nothing." },
        },
      },
      {
        do: [HOLD, write("c2")],
        look: ".ready",
        until: (state) => at_call(state, 0, "recv", true) && state.servers[0].ready?.length === 1,
        say: { en: "select came back with c2. The thread is held before recv, and this recv will not sleep: the bytes are there." },
      },
      {
        look: STEP,
        press: STEP,
        until: (state) => at_call(state, 0, "sendall", true) || at_call(state, 0, "select", true),
        say: { en: "Press 'one call': the bytes are read, and the answer is about to be sent." },
      },
      {
        look: ".set",
        press: STEP,
        until: (state) => at_call(state, 0, "select", true),
        say: { en: "Once more, and it is back before select. The whole set is handed over again: the kernel has kept nothing." },
      },
      {
        do: [GO],
        look: FIRST,
        until: (state) => at_call(state, 0, "select"),
        say: { en: "So one thread serves all, and no call is in vain. The price is that set: with ten thousand clients it is ten thousand long, at each call." },
      },
    ],
  },
  6: {
    programs: ["step5_select/minimal", "step6_epoll_kqueue/minimal"],
    steps: [
      {
        do: [add("silent"), add("by hand")],
        look: ".server:nth-child(2) .set",
        until: (state) => [0, 1].every((one) => state.servers[one]?.set.size === 3),
        say: { en: "Two programs, with the same clients. On the left select is handed the set. On the right the kernel keeps it: epoll was told once of each socket." },
        ask: {
          choices: [{ en: "the set again, all of it" }, { en: "nothing" }, { en: "c2, which is ready" }],
          right: 1,
          because: { en: "That is what epoll's next wait is handed: it has the list already." },
        },
      },
      {
        do: [HOLD, write("c2")],
        look: ".server:nth-child(2) .ready",
        until: (state) => [0, 1].every((one) => at_call(state, 0, "recv", true, one)),
        say: { en: "c2 has sent the same to both. Both calls came back with c2, and both programs are held before recv." },
      },
      {
        look: STEP,
        press: STEP,
        until: (state) => [0, 1].every((one) => at_call(state, 0, "sendall", true, one)),
        say: { en: "Press 'one call': each program makes one. Up to here they do the same." },
      },
      {
        look: "#calls",
        press: STEP,
        until: (state) => at_call(state, 0, "select", true, 0) && at_call(state, 0, "epoll.poll", true, 1),
        say: { en: "Once more. The next call of the left one is select, with three sockets; that of the right one is epoll.poll, with none." },
      },
      {
        do: [GO],
        look: ".server:nth-child(2) .set",
        until: (state) => at_call(state, 0, "epoll.poll", false, 1),
        say: { en: "The more of the clients are silent, the more that is worth: select is handed them all, epoll names those who are ready." },
      },
    ],
  },
  7: {
    programs: ["step7_event_loop_threadpool/prime_server"],
    steps: [
      {
        do: [add("by hand")],
        look: ".set",
        until: (state) => /\.(poll|control)$/.test(state.servers[0]?.threads.get(0)?.call?.call ?? "") && state.servers[0].set.size === 3,
        say: { en: "A loop: it sleeps until a socket is ready, and calls whoever wants to know. Beside the listening socket and c1 there is one more: wake-up, a socket that the program sends to itself." },
      },
      {
        do: [write("c1", "999999999999989\n")],
        look: THREADS,
        until: (state) => [...(state.servers[0]?.threads.values() ?? [])].some((one) => one.number > 0 && one.state === "runs" && !one.idle),
        say: { en: "c1 asks whether a large number is prime, which takes a second or more. A worker of the pool computes, and the loop is back in its wait: it is free." },
      },
      {
        do: [add("by hand"), write("c2", "7\n")],
        look: of_client("c2"),
        until: (state) => got(state, "c2") === "prime\n",
        say: { en: "c2 asked for a small one. It has its answer, whether or not c1 has." },
      },
      {
        do: [HOLD, write("c2", "11\n"), { do: "step" }],
        look: THREADS,
        until: (state) => [...(state.servers[0]?.threads.values() ?? [])].some((one) => one.state === "held" && one.call.call === "send"),
        press: STEP,
        say: { en: "Now the threads are held. Press 'one call' until a worker is before send: it has an answer, but only the loop's thread may send that to the client. So it sends a byte to wake-up." },
      },
      {
        look: ".loop",
        press: STEP,
        until: (state) => state.servers[0]?.wake > 0,
        say: { en: "Press once more: the byte is on its way to the loop, which sleeps, or is about to." },
      },
      {
        do: [GO],
        look: of_client("c2"),
        until: (state) => got(state, "c2") === "prime\nprime\n" && got(state, "c1") === "prime\n",
        say: { en: "Let go: the loop woke up, read the byte, and sent the answer itself. No two threads ever touch the same client." },
      },
    ],
  },
};
