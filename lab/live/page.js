
// Words. What the reader reads, in each language.

const TEXT = {
  en: {
    title: "A server, one call at a time", short: (n) => n ? `t${n}` : "main",
    hold: "hold", go: "let it run", step: "one call", again: "start again", speed: "speed",
    full_speed: "full speed", program: "program", beside: "beside it", nothing: "nothing",
    add: "add", kind: "client", send: "send", remove: "remove", itself: "by itself", line: "text to send",
    lesson: "lesson", no_lesson: "none", next: "next", back: "back", restart: "from the beginning",
    clients: "clients", calls: "calls", program_of: "the program", kernel: "the kernel", time: "time",
    listener: "listening socket", listening: "listening socket: in its backlog, not yet accepted", wakeup: "wake-up", main: "main thread", thread: (n) => `thread ${n}`,
    sleeps: "sleeps", runs: "runs", held: "held", over: "ended", calling: "calls", idle: "waits", elsewhere: "in no call that is seen here: a lock, or a queue",
    before: (what) => `before ${what}`, line_at: (n) => `, line ${n}`,
    nobody: "nobody", unknown: "not known here",
    connections: "connections", unread: "arrived, not read", unsent: "sent, not taken",
    handed: "handed over, at every call", keeps: "kept in the kernel", handed_over: (n) => `${n} ${n === 1 ? "socket" : "sockets"}`, came_back: "came back", not_yet: "not yet",
    wake: (n) => `${n} ${n === 1 ? "byte" : "bytes"} on the way to wake the loop`, timers: "timers", due: (s) => `in ${s.toFixed(2)} s`,
    queue: (n) => `jobs that waited for a worker when the loop last looked: ${n}`,
    counted: (n, vain) => `${n} calls, ${vain} in vain (EAGAIN)`,
    dropped: (n) => `${n} calls since the last picture`,
    ended: "The program has ended: ", unseen: "No call of it is seen: it is no Python, or one that minds no PYTHONPATH.",
    lost: "The servers have ended: run the command again.",
    sent: "sent", got: "got", waits: "nothing yet", bytes: (n) => `${n} ${n === 1 ? "byte" : "bytes"}`, times: (n) => `${n} times`,
    end: "the end", refuses: (what) => `cannot ${what}`, is: (who, fd) => `${who}, descriptor ${fd}`,
    nobody_held: "No thread is held: all sleep in a call, until a client does something.",
    right: "Yes.", wrong: (what) => `No: ${what}.`,
    lesson_end: (n) => `End of lesson ${n}. Or change something: hold the program, add a client, see.`, go_to: (n) => `lesson ${n}`,
    key: "Keys: h hold or let run, space one call, arrows move in a recording.",
    lane_runs: "The last 20 s. Of a thread: dark runs, light is in a call or waits, hatched is held. Of a client: hatched has got nothing yet, blue has sent and waits, grey is silent.",
    of: (n, all) => `${n} of ${all}`, first_press: "next: press the outlined button first", first_choose: "next: choose an answer first", recording: (what) => `A recording: ${what}`,
    play: "play", pause: "pause", each: (s) => `a call every ${s} s`, lost_place: "lesson, from the beginning",
    about: {
      script: "does what simple_client.py does", "by hand": "sends what you type", silent: "connects, and says nothing", "never reads": "asks for much and takes none of it: some MiB, until all is full",
      "half-close": "sends, then only listens", reset: "leaves in the middle, without an end", flood: "sends much, without a pause", "ten at once": "ten of the script, which go on by themselves",
    },
    language: "language", named: "English", words: {},
  },
  ko: {
    title: "서버, 한 번에 호출 하나씩", short: (n) => n ? `t${n}` : "main",
    hold: "멈추기", go: "계속하기", step: "호출 하나", again: "다시 시작", speed: "속도",
    full_speed: "최고 속도", program: "프로그램", beside: "나란히", nothing: "없음",
    add: "추가", kind: "클라이언트", send: "보내기", remove: "제거", itself: "자동으로", line: "보낼 내용",
    lesson: "안내", no_lesson: "없음", next: "다음", back: "이전", restart: "처음부터",
    clients: "클라이언트", calls: "호출", program_of: "프로그램", kernel: "커널", time: "시간",
    listener: "리스닝 소켓", listening: "리스닝 소켓: 백로그에서 accept를 기다리는 연결", wakeup: "웨이크업 소켓", main: "메인 스레드", thread: (n) => `스레드 ${n}`,
    sleeps: "자는 중", runs: "실행 중", held: "멈춤", over: "끝남", calling: "호출 중", idle: "대기 중", elsewhere: "여기에 보이지 않는 호출 안(락이나 큐)",
    before: (what) => `${what} 직전`, line_at: (n) => `, ${n}행`,
    nobody: "없음", unknown: "여기서는 알 수 없음",
    connections: "연결", unread: "도착, 안 읽음", unsent: "보냄, 안 가져감",
    handed: "호출할 때마다 넘김", keeps: "커널이 보관", handed_over: (n) => `소켓 ${n}개`, came_back: "돌아온 것", not_yet: "아직",
    wake: (n) => `루프를 깨우러 가는 중인 바이트 ${n}개`, timers: "타이머", due: (s) => `${s.toFixed(2)}초 뒤`,
    queue: (n) => `루프가 마지막으로 보았을 때 워커를 기다리던 작업: ${n}`,
    counted: (n, vain) => `호출 ${n}번, 헛수고(EAGAIN) ${vain}번`,
    dropped: (n) => `직전 화면 이후 호출 ${n}번`,
    ended: "프로그램이 끝났습니다: ", unseen: "이 프로그램의 호출은 하나도 보이지 않습니다. Python이 아니거나 PYTHONPATH를 따르지 않습니다.",
    lost: "서버가 끝났습니다. 명령을 다시 실행하세요.",
    sent: "보냄", got: "받음", waits: "아직 아무것도 못 받음", bytes: (n) => `${n}바이트`, times: (n) => `${n}번`,
    end: "끝", refuses: (what) => `${what} 실패`, is: (who, fd) => `${who}, 디스크립터 ${fd}`,
    nobody_held: "멈춘 스레드가 없습니다. 클라이언트가 무언가 할 때까지 모두 호출 안에서 잡니다.",
    right: "맞습니다.", wrong: (what) => `아닙니다. 답은 ‘${what}’입니다.`,
    lesson_end: (n) => `안내 ${n}은 여기까지입니다. 이제 바꿔 보세요. 프로그램을 멈추고, 클라이언트를 추가하고, 지켜보세요.`, go_to: (n) => `안내 ${n}`,
    key: "키: h는 멈추기와 계속하기, 스페이스는 호출 하나, 녹화에서는 화살표로 이동합니다.",
    lane_runs: "지난 20초. 스레드: 진하면 실행 중, 연하면 호출 안이거나 대기 중, 빗금은 멈춤. 클라이언트: 빗금은 아직 아무것도 못 받음, 파랑은 보내고 기다리는 중, 회색은 말 없음.",
    of: (n, all) => `${all}개 중 ${n}번째`, first_press: "다음: 먼저 테두리를 두른 버튼을 누르세요", first_choose: "다음: 먼저 답을 고르세요", recording: (what) => `녹화: ${what}`,
    play: "재생", pause: "일시 정지", each: (s) => `${s}초에 호출 하나`, lost_place: "안내를 처음부터",
    about: {
      script: "simple_client.py가 하는 대로 합니다", "by hand": "입력한 것을 보냅니다", silent: "접속하고 아무 말도 하지 않습니다", "never reads": "많이 요청하고 하나도 가져가지 않습니다. 몇 MiB면 모두 가득 찹니다",
      "half-close": "보낸 뒤에는 듣기만 합니다", reset: "대화 도중에 끝을 알리지 않고 떠납니다", flood: "쉬지 않고 많이 보냅니다", "ten at once": "시나리오 열 개가 저절로 진행됩니다",
    },
    language: "언어", named: "한국어",
    words: {
      script: "시나리오", "by hand": "직접 입력", silent: "말 없음", "never reads": "읽지 않음", "half-close": "하프 클로즈", reset: "리셋", flood: "쉬지 않고 보냄",
      "ten at once": "한꺼번에 열 개", connect: "접속", send: "보내기", "send no more": "더 안 보냄", "ask for 1 MiB": "1 MiB 요청", "send 4 MiB": "4 MiB 보내기",
    },
  },
};
const QUERY = new URLSearchParams(location.search);
const LANG = QUERY.get("lang") in TEXT ? QUERY.get("lang") : "en";
const T = TEXT[LANG];
document.documentElement.lang = LANG;

// A word of the program's own: a client's kind, or what it does next.
const word = (text) => T.words[text] ?? text.replace(/^send(?= )/, T.send);

// The state: what all events so far have made of it.

function nothing() {
  return { servers: [], clients: new Map(), programs: [], kinds: [], paused: false, delay: 0, said: "", t: 0 };
}

function server() {
  return {
    title: "", files: {}, file: "", threads: new Map(), names: new Map(), never_sleeps: new Set(), set: new Map(), ready: null,
    mechanism: "", listener: null, peers: new Map(), kernel: null, wake: 0, timers: [], queue: null, calls: 0, vain: 0,
    rows: [], exit: "", unseen: false,
  };
}

function apply(state, e) {
  const s = state.servers[e.s];
  if (e.t) state.t = e.t;
  switch (e.kind) {
    case "hello": state.programs = e.programs; state.kinds = e.kinds; break;
    case "reset":
      Object.assign(state, nothing(), { programs: state.programs, kinds: state.kinds });
      state.servers = Array.from({ length: e.count }, server);
      break;
    case "start": s.title = e.title; break;
    case "source": s.files[e.file] = e.text.split("\n"); s.file ||= e.file; break;
    case "mode": state.paused = e.paused; state.delay = e.delay; break;
    case "serves": s.unseen = !e.seen; break;
    case "exit": s.exit = e.how; for (const thread of s.threads.values()) over(thread, e.t); break;
    case "kernel": s.kernel = e.backlog ? e : null; break;
    case "thread": thread_event(s, e); break;
    case "idle": idle(s, e); break;
    case "begin": begin(state, s, e); break;
    case "leave": leave(s, e); break;
    case "end": end(state, s, e); break;
    case "client": client_event(state, s, e); break;
  }
}

function thread_of(s, number, t) {
  if (!s.threads.has(number))
    s.threads.set(number, { number, state: "runs", call: null, lane: [], since: t, until: null });
  return s.threads.get(number);
}

function thread_event(s, e) {
  const thread = thread_of(s, e.thread, e.t);
  if (e.over) over(thread, e.t);
}

// Whether a thread sleeps in no call that is recorded.
function idle(s, e) {
  const thread = thread_of(s, e.thread, e.t);
  thread.idle = e.idle;
  if (thread.call) return;
  close_lane(thread, e.t);
  if (e.idle) thread.lane.push({ from: e.t, until: null, kind: "in", label: "" });
}

function over(thread, t) {
  close_lane(thread, t);
  thread.state = "over"; thread.call = null; thread.until ??= t;
}

function close_lane(thread, t) {
  const open = thread.lane.at(-1);
  if (open && open.until === null) open.until = t;
}

function begin(state, s, e) {
  const thread = thread_of(s, e.thread, e.t);
  close_lane(thread, e.t);
  thread.idle = false; thread.call = e; e.never_sleeps = s.never_sleeps.has(e.fd); thread.state = e.held ? "held" : "in"; e.at = e.t;
  thread.lane.push({ from: e.t, until: null, kind: e.held ? "held" : "in", label: e.call });
  if (e.file && s.files[e.file]) s.file = e.file;
  if (["listen", "accept"].includes(e.call)) s.listener = e.fd;
  if (e.call === "setblocking" && e.given?.[0] === false) s.never_sleeps.add(e.fd);
  if (HANDED.test(e.call)) s.set = new Map(e.fds);
  else for (const [fd, way] of e.fds ?? []) way ? s.set.set(fd, way) : s.set.delete(fd);
  if (WAITS.test(e.call)) { s.mechanism = e.call; s.ready = null; }
  if (e.loop) { s.timers = e.loop.timers ?? []; s.queue = e.loop.queue ?? null; }
  s.calls += 1;
  const what = phrase(s, e) + (e.line ? T.line_at(e.line) : "");
  s.rows.push({ number: s.calls, s: e.s, thread: e.thread, begin: e, what, came: null });
  thread.row = s.rows.at(-1);
  if (s.rows.length > 300) s.rows.splice(0, 100);
  state.said = e.held && thread.last ? `${thread.last}; ${T.before(what)}` : `${name_of(thread)}: ${what}`;
}

function leave(s, e) {
  const thread = thread_of(s, e.thread, e.t);
  if (thread.state !== "held") return;
  close_lane(thread, e.t);
  thread.state = "in"; thread.call.at = e.t;
  thread.lane.push({ from: e.t, until: null, kind: "in", label: thread.call.call });
}

function end(state, s, e) {
  const thread = thread_of(s, e.thread, e.t);
  const call = thread.call;
  if (!call) return;
  close_lane(thread, e.t);
  if (thread.lane.length > 4000) thread.lane.splice(0, 1000);
  if (e.error === "EAGAIN") s.vain += e.count ?? 1;
  else if (call.call === "accept" && e.result != null) s.peers.set(e.result, e.peer);
  else if (call.call === "close") { s.peers.delete(call.fd); s.never_sleeps.delete(call.fd); if (!HANDED.test(s.mechanism)) s.set.delete(call.fd); }
  else if (is_wakeup(s, call) && e.result) s.wake += call.call === "send" ? e.result : -e.result;
  if (e.ready) s.ready = e.ready;
  thread.call = null; thread.state = "runs";
  const came = result(s, call, e);
  state.said = thread.last = `${name_of(thread)}: ${thread.row.what} → ${came}`;
  thread.row.came = came;
}

// The two ends of a pair of sockets that the program has for itself have no address.
function is_wakeup(s, call) {
  return ["send", "recv"].includes(call.call) && !call.peer && call.fd !== s.listener && !s.peers.has(call.fd);
}

function client_event(state, s, e) {
  if (!state.clients.has(e.name)) state.clients.set(e.name, { name: e.name, kind: e.what, next: "", at: [] });
  const client = state.clients.get(e.name);
  const here = (client.at[e.s] ??= { state: "", sent: "", sizes: [0, 0], got: "", lane: [] });
  const last = here.lane.at(-1);
  const turn = (kind) => {
    if (last && last.until === null) last.until = e.t;
    if (kind) here.lane.push({ from: e.t, until: null, kind });
  };
  switch (e.did) {
    case "added": client.kind = e.what; client.next = e.next; break;
    case "next": client.next = e.next; break;
    case "connected": s.names.set(e.address, e.name); here.state = "waits"; turn("waits"); break;
    case "send": here.sent = tail(here.sent + e.data, e.size); here.sizes[0] += e.size; if (here.state !== "waits") turn("asks"); break;
    case "received":
      here.got = tail(here.got + e.data, e.size); here.sizes[1] += e.size; here.state = "served"; turn("silent"); break;
    case "end": here.state = "end"; turn(null); break;
    case "failed": here.state = "failed"; here.error = `${T.refuses(word(e.what))}: ${e.error}`; turn(null); break;
    case "reset": case "left": here.state = "left"; client.left = true; client.next = ""; turn(null); break;
  }
}

function tail(text, size) {
  return (size > 40 ? text + "…" : text).slice(-60);
}

// The calls that wait for several, and those of them that are handed the whole set every time.
const WAITS = /^select$|\.(poll|control)$/, HANDED = /^select$|^poll\./;

// Sentences about calls.

function who(s, fd, peer) {
  if (fd === s.listener) return T.listener;
  const address = peer ?? s.peers.get(fd);
  if (address) return s.names.get(address) ?? address;
  return s.listener === null ? `${fd}` : `${T.wakeup} (${fd})`;
}

function phrase(s, e) {
  const given = (e.given ?? []).map((one) => (typeof one === "string" && !one.startsWith("(") ? JSON.stringify(one) : one));
  if (HANDED.test(e.call)) given.unshift(T.handed_over(e.handed));
  else if (e.fd != null) given.unshift(who(s, e.fd, e.call === "accept" ? null : e.peer));
  return `${e.call}(${given.join(", ")})`;
}

function result(s, call, e) {
  if (e.error) return e.error + (e.count > 1 ? `, ${T.times(e.count)}` : "");
  if (e.ready) return e.ready.length ? e.ready.map((fd) => who(s, fd)).join(", ") : T.nobody;
  if (call.call === "accept") return T.is(s.names.get(e.peer) ?? e.peer, e.result);
  if (call.call === "recv" && e.result === 0) return T.end;
  if (e.result != null && /^(recv|send)/.test(call.call))
    return T.bytes(e.result) + (call.call === "recv" && e.given?.[0] ? ` ${JSON.stringify(e.given[0])}` : "");
  return "✓";
}

function name_of(thread) {
  return thread.number === 0 ? T.main : T.thread(thread.number);
}

function shown_state(thread) {
  if (thread.state === "runs" && thread.idle) return "idle";
  if (thread.state !== "in") return thread.state;
  if (thread.call.never_sleeps) return "calling";
  const long = RECORDED ? thread.call.long : clock() - thread.call.at > 0.05;
  return long ? "sleeps" : "calling";
}

// Making the page.

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function text(where, value) {
  if (where.textContent !== value) where.textContent = value;
}

// Keep one element for each item, in their order: what has the focus keeps it.
function sync(parent, items, key, create, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, child] of known) if (!wanted.has(name)) { child.remove(); known.delete(name); }
  items.forEach((item, i) => {
    const name = key(item);
    if (!known.has(name)) known.set(name, create(item));
    const child = known.get(name);
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
    update(child, item);
  });
}

// What is there of a run that is over goes.
function clear() {
  for (const place of [$("#servers"), $("#clients ul"), $("#calls tbody")]) sync(place, [], () => 0);
}

const $ = (selector, within = document) => within.querySelector(selector);
let state = nothing();
let at = 0; // in a recording: how many events have been applied
let drawn = 0; // calls at the last picture
let dirty = true;

function draw() {
  requestAnimationFrame(draw);
  const moving = !RECORDED && state.servers.some((s) => [...s.threads.values()].some((one) => one.state === "in"));
  if (!dirty && !(moving && performance.now() - drawn_at > 200)) return;
  dirty = false; drawn_at = performance.now();
  const calls = state.servers.reduce((sum, s) => sum + s.calls, 0);
  draw_controls();
  const host = $("#servers");
  host.className = state.servers.length > 1 ? "several" : "";
  sync(host, state.servers.map((s, number) => ({ s, number })), (one) => one.number, make_server, draw_server);
  draw_clients();
  draw_calls();
  const skipped = calls - drawn > 100 ? ` (${T.dropped(calls - drawn)})` : "";
  const exit = state.servers.find((s) => s.exit);
  drawn = calls;
  if (performance.now() - said_at > 500 || state.paused || RECORDED) {
    said_at = performance.now();
    text($("#said"), exit ? T.ended + exit.exit : state.servers.some((s) => s.unseen) ? T.unseen : state.said + skipped);
    $("#said").classList.toggle("bad", Boolean(exit));
  } else dirty = true;
  draw_lesson();
  document.documentElement.style.setProperty("--head", `${$("header").offsetHeight}px`);
}
let drawn_at = 0, said_at = 0;

function make_server({ number }) {
  return make("div", { className: "server" },
    make("section", { className: "program" }, make("h2"), make("ul", { className: "threads" }),
      make("ol", { className: "code", tabIndex: 0 })),
    make("section", { className: "kernel" }, make("h2", { textContent: T.kernel }),
      make("h3", { textContent: T.listening }), make("div", { className: "backlog" }),
      make("h3", { textContent: T.connections }), make("table", { className: "connections" }),
      make("div", { className: "mechanism" }), make("div", { className: "loop" })),
    make("section", { className: "time" }, make("h2"), make("canvas", { className: "lanes", role: "img", ariaLabel: T.time }), make("small", { textContent: T.lane_runs })));
}

function draw_server(place, { s, number }) {
  text($("h2", place), `${T.program_of}: ${s.title}`);
  sync($(".threads", place), [...s.threads.values()].slice(-40), (one) => one.number, () => make_thread(number), (row, one) => draw_thread(row, s, one));
  draw_code($(".code", place), s);
  draw_kernel(place, s);
  text($(".time h2", place), `${T.time}: ${T.counted(s.calls, s.vain)}`);
  draw_lanes($("canvas", place), s, number);
}

function make_thread(number) {
  const row = make("li", {}, make("b"), " ", make("span", { className: "state" }), " ", make("span", { className: "call" }), " ");
  row.append(make("button", { textContent: T.step, className: "step", disabled: true, onclick: () => wish({ do: "step", session: number, thread: row.thread }) }));
  return row;
}

function draw_thread(row, s, thread) {
  row.thread = thread.number;
  const shown = shown_state(thread);
  row.dataset.state = shown; row.dataset.call = thread.call?.call ?? "";
  text(row.children[0], name_of(thread));
  text(row.children[1], T[shown]);
  row.children[1].className = `state ${shown}`;
  const what = shown === "idle" ? T.elsewhere : thread.call ? phrase(s, thread.call) + (thread.call.line ? T.line_at(thread.call.line) : "") : "";
  text(row.children[2], shown === "held" ? T.before(what) : what);
  row.children[3].disabled = shown !== "held" || RECORDED !== null;
}

function draw_code(list, s) {
  const lines = s.files[s.file];
  if (!lines) return;
  if (list.file !== s.file) {
    list.file = s.file;
    list.setAttribute("aria-label", s.file);
    list.replaceChildren(...lines.map((line) => make("li", {}, make("b", { className: "who" }), make("span", { textContent: line || " " }))));
    list.marked = new Map();
  }
  const marks = new Map();
  for (const thread of s.threads.values())
    if (thread.call?.file === s.file && thread.call.line)
      (marks.get(thread.call.line) ?? marks.set(thread.call.line, []).get(thread.call.line)).push(thread);
  for (const [line, item] of list.marked) if (!marks.has(line)) { item.className = ""; text(item.children[0], ""); list.marked.delete(line); }
  for (const [line, threads] of marks) {
    const item = list.children[line - 1];
    if (!item) continue;
    const names = threads.slice(0, 2).map((one) => T.short(one.number)).join(" ");
    text(item.children[0], `${names}${threads.length > 2 ? " …" : ""} ▶`);
    item.className = threads.some((one) => one.state === "held") ? "at held" : "at";
    if (!list.marked.has(line) && list.clientHeight) {
      const top = item.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 30) list.scrollTop = top - list.clientHeight / 2;
    }
    list.marked.set(line, item);
  }
}

const MOST = 200; // that are drawn, of anything

function chips(where, all, ready = false, none = T.nobody) {
  const names = all.length > MOST ? [...all.slice(0, MOST), `+ ${all.length - MOST}`] : all;
  const wanted = JSON.stringify([names, ready, none]);
  if (where.shown === wanted) return;
  where.shown = wanted;
  where.replaceChildren(...(names.length
    ? names.map((name) => make("span", { className: ready ? "chip ready" : "chip", textContent: name }))
    : [make("span", { className: "none", textContent: none })]));
}

function draw_kernel(place, s) {
  const backlog = $(".backlog", place), table = $(".connections", place);
  const label = (address) => s.names.get(address) ?? address;
  chips(backlog, s.kernel?.backlog.map(label) ?? [], false, s.kernel ? T.nobody : T.unknown);
  const accepted = new Map([...s.peers].map(([fd, peer]) => [peer, fd]));
  const known = s.kernel ? Object.entries(s.kernel.connections) : [...s.peers.values()].map((peer) => [peer, null]);
  known.sort(([one], [other]) => (accepted.get(one) ?? 1e9) - (accepted.get(other) ?? 1e9));
  const rows = known.slice(0, MOST), more = known.length - rows.length + (s.kernel?.more ?? 0);
  if (more) rows.push([`+ ${more}`, ["", "", ""]]);
  if (!table.tHead) {
    table.createTHead().append(make("tr", {}, ...["", T.unread, T.unsent].map((one) => make("th", { textContent: one, scope: "col" }))));
    table.append(make("tbody"));
  }
  sync(table.tBodies[0], rows, ([peer]) => peer, () => make("tr", {}, make("th", { scope: "row" }), make("td"), make("td")), (row, [peer, sizes]) => {
    row.dataset.peer = label(peer);
    text(row.children[0], label(peer) + (accepted.has(peer) ? ` (${accepted.get(peer)})` : ""));
    text(row.children[1], sizes ? `${sizes[0]}` : "?");
    text(row.children[2], sizes ? `${sizes[1] + sizes[2]}` : "?");
  });
  const part = $(".mechanism", place);
  if (s.mechanism) {
    if (!part.children.length)
      part.append(make("h3"), make("div", { className: "set" }), make("h3", { textContent: T.came_back }), make("div", { className: "ready" }));
    text(part.children[0], `${s.mechanism.split(".")[0]}: ${HANDED.test(s.mechanism) ? T.handed : T.keeps}`);
    chips(part.children[1], [...s.set.keys()].map((fd) => who(s, fd)));
    chips(part.children[3], s.ready?.map((fd) => who(s, fd)) ?? [], Boolean(s.ready?.length), s.ready ? T.nobody : T.not_yet);
  }
  const loop = $(".loop", place);
  const lines = [];
  if (s.wake > 0) lines.push(T.wake(s.wake));
  if (s.timers.length) lines.push(`${T.timers}: ${s.timers.map((one) => T.due(one)).join(", ")}`);
  if (s.queue) lines.push(T.queue(s.queue));
  text(loop, lines.join("; "));
}

// The lanes of time.

const GONE = new Set(["end", "failed", "left"]);
const HEIGHT = 16, NAME = 92, WINDOW = 20;

function draw_lanes(canvas, s, number) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
  const threads = [...s.threads.values()].slice(-8);
  const gone = (client) => GONE.has(client.at[number].state);
  const clients = [...state.clients.values()].filter((one) => one.at[number]).sort((one, other) => gone(one) - gone(other)).slice(0, 10);
  const now = RECORDED ? state.t : clock();
  const from = RECORDED ? RECORDED.first : now - WINDOW, until = RECORDED ? RECORDED.last : now;
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth;
  const height = (threads.length + clients.length) * (HEIGHT + 4) + 16;
  canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif"; pen.textBaseline = "middle";
  const x = (t) => NAME + Math.max(0, Math.min(1, (t - from) / (until - from || 1))) * (width - NAME - 4);
  const looks = {
    runs: colour("runs"), in: colour("sleeps"), held: colour("held"), waits: colour("held"), silent: colour("line"), asks: colour("asks"),
  };
  const bar = (y, from, until, kind, label) => {
    const a = x(from), b = Math.max(x(until), a + 1);
    pen.fillStyle = looks[kind]; pen.fillRect(a, y, b - a, HEIGHT);
    pen.strokeStyle = colour("ink"); pen.lineWidth = 1;
    if (kind === "held" || kind === "waits")
      for (let i = a; i < b; i += 5) { pen.beginPath(); pen.moveTo(i, y + HEIGHT); pen.lineTo(Math.min(i + 5, b), y); pen.stroke(); }
    if (label && b - a > pen.measureText(label).width + 6) {
      pen.fillStyle = colour("ink"); pen.fillText(label, a + 3, y + HEIGHT / 2);
    }
  };
  let y = 2;
  const row = (name, draw_row) => { pen.fillStyle = colour("ink"); pen.fillText(name.slice(0, 15), 0, y + HEIGHT / 2); draw_row(); y += HEIGHT + 4; };
  for (const client of clients)
    row(client.name, () => {
      for (const one of client.at[number].lane) if ((one.until ?? now) >= from) bar(y, one.from, one.until ?? now, one.kind, "");
    });
  for (const thread of threads)
    row(name_of(thread), () => {
      const end = thread.until ?? now;
      if (end >= from) bar(y, Math.max(thread.since, from), end, "runs", "");
      for (const one of thread.lane) if ((one.until ?? now) >= from) bar(y, one.from, one.until ?? now, one.kind, one.label);
    });
  pen.fillStyle = colour("dim");
  pen.fillText(RECORDED ? `${(until - from).toFixed(1)} s` : `- ${WINDOW} s`, NAME, y + 6);
  if (RECORDED) { pen.fillStyle = colour("mark"); pen.fillRect(x(now) - 1, 0, 2, y); }
}

// The clients.

function draw_clients() {
  const place = $("#clients"), adding = $(".adding", place);
  text($("h2", place), T.clients);
  if (!RECORDED && !adding.children.length && state.kinds.length) {
    const kind = make("select", { ariaLabel: T.kind }, ...state.kinds.map((one) => new Option(word(one), one)));
    const about = make("small", { textContent: T.about[kind.value] });
    kind.addEventListener("change", () => text(about, T.about[kind.value]));
    adding.append(kind, make("button", { textContent: T.add, onclick: () => wish({ do: "add", kind: kind.value }) }), about);
  }
  const there = [...state.clients.values()].filter((one) => !one.left);
  const over = (one) => one.at.every((here) => GONE.has(here.state));
  const shown = [...there.filter((one) => !over(one)).slice(-100), ...there.filter(over).slice(-5)];
  sync($("ul", place), shown, (one) => one.name, make_client, draw_client);
}

function make_client(client) {
  const typed = make("input", { ariaLabel: `${client.name}: ${T.line}`, size: 12, value: lines_wanted() ? "7" : "^a$" });
  const send = (event) => { event.preventDefault(); wish({ do: "write", client: client.name, text: typed.value + (lines_wanted() ? "\n" : "") }); };
  const controls = RECORDED ? [] : [
    make("button", { className: "next", onclick: () => wish({ do: "next", client: client.name }) }),
    make("button", { className: "play", textContent: T.itself, onclick: () => wish({ do: "play", client: client.name }) }),
    make("form", { className: "row", onsubmit: send, hidden: client.kind !== "by hand" }, typed, make("button", { textContent: T.send })),
    make("button", { textContent: T.remove, ariaLabel: `${T.remove} ${client.name}`, onclick: () => wish({ do: "remove", client: client.name }) }),
  ];
  return make("li", {}, make("b", { textContent: client.name }), ` ${word(client.kind ?? "")} `, make("div", { className: "cells" }), make("div", { className: "row" }, ...controls));
}

function lines_wanted() {
  return state.servers.some((s) => /prime|file/.test(s.title));
}

function draw_client(row, client) {
  row.dataset.client = client.name;
  sync($(".cells", row), client.at.map((here, number) => ({ here, number })), (one) => one.number, () => make("div", { className: "bytes" }), (cell, { here }) => {
    const say = { "": "", waits: T.waits, served: "", end: T.end, failed: here.error, left: "" }[here.state];
    const part = (word, size, data) => size && `${word} ${T.bytes(size)}${data && ` ${JSON.stringify(data)}`}`;
    text(cell, [part(T.sent, here.sizes[0], here.sent), part(T.got, here.sizes[1], here.got), say].filter(Boolean).join("; "));
  });
  const next = $(".next", row);
  if (next) {
    next.hidden = $(".play", row).hidden = !client.next;
    text(next, word(client.next));
  }
}

// The calls, one a row.

function draw_calls() {
  const rows = state.servers.flatMap((s) => s.rows.slice(-60));
  if (state.servers.length > 1) rows.sort((a, b) => a.begin.t - b.begin.t);
  rows.splice(0, rows.length - 60);
  text($("#calls h2"), T.calls);
  const scroll = $("#calls .scroll"), low = scroll.scrollTop + scroll.clientHeight > scroll.scrollHeight - 30;
  sync($("#calls tbody"), rows, (one) => `${one.s}/${one.number}`, () => make("tr", {}, ...Array.from({ length: 4 }, () => make("td"))), (line, one) => {
    if (line.done) return;
    const s = state.servers[one.s];
    line.dataset.number = one.number; line.dataset.call = one.begin.call;
    text(line.children[0], `${state.servers.length > 1 ? `${s.title.slice(0, 5)} ` : ""}${one.number}`);
    text(line.children[1], T.short(one.thread));
    text(line.children[2], one.what);
    text(line.children[3], one.came === null ? "…" : `→ ${one.came}`);
    line.done = one.came !== null;
  });
  if (low) scroll.scrollTop = scroll.scrollHeight;
}

// The controls.

function draw_controls() {
  const bar = $("#controls");
  if (!bar.children.length) RECORDED ? make_replay(bar) : make_live(bar);
  if (RECORDED) {
    $("#place").value = at;
    text($("#where"), `${state.servers[0]?.calls ?? 0} / ${RECORDED.calls}`);
    return;
  }
  text($("#hold"), state.paused ? T.go : T.hold);
  $("#hold").setAttribute("aria-pressed", String(state.paused));
  $("#step").disabled = !state.paused;
  if (document.activeElement !== $("#speed")) $("#speed").value = state.delay;
  const choose = $("#program"), beside = $("#beside");
  if (choose.options.length !== state.programs.length) {
    choose.replaceChildren(...state.programs.map((one) => new Option(one)));
    beside.replaceChildren(new Option(T.nothing, ""), ...state.programs.map((one) => new Option(one)));
  }
  if (document.activeElement !== choose) choose.value = state.servers[0]?.title ?? "";
  if (document.activeElement !== beside) beside.value = state.servers[1]?.title ?? "";
}

// The same page in another language, at the same place: of a recording that is in the address.
function make_languages() {
  const change = (e) => {
    QUERY.set("lang", e.target.value);
    QUERY.delete("lesson");
    if (lesson) { QUERY.set("lesson", lesson.number); QUERY.set("at", lesson.at); }
    location.search = QUERY;
  };
  const options = Object.entries(TEXT).map(([lang, { named }]) => new Option(named, lang, false, lang === LANG));
  return make("select", { id: "language", ariaLabel: T.language, onchange: change }, ...options);
}

function make_live(bar) {
  const open = () => end_lesson() ?? wish({ do: "open", titles: [...new Set([$("#program").value, $("#beside").value].filter(Boolean))] });
  const speeds = [[T.full_speed, 0], ...[0.1, 0.5, 1].map((one) => [T.each(one), one])];
  bar.append(
    make("button", { id: "hold", title: T.key, onclick: () => wish({ do: "mode", paused: !state.paused, delay: state.delay }) }),
    make("button", { id: "step", textContent: T.step, onclick: one_call }),
    make("label", {}, `${T.speed} `, make("select", { id: "speed", onchange: (e) => wish({ do: "mode", paused: false, delay: Number(e.target.value) }) }, ...speeds.map(([name, value]) => new Option(name, value)))),
    make("label", {}, `${T.program} `, make("select", { id: "program", onchange: open })),
    make("label", {}, `${T.beside} `, make("select", { id: "beside", onchange: open })),
    make("button", { id: "again", textContent: T.again, onclick: () => (lesson ? start_lesson(lesson.number) : open()) }),
    make("label", {}, `${T.lesson} `, make("select", { id: "chosen", onchange: (e) => start_lesson(Number(e.target.value)) },
      new Option(T.no_lesson, 0), ...Object.keys(LESSONS).map((one) => new Option(one)))),
    make_languages());
}

function one_call() {
  const held = state.servers.some((s) => [...s.threads.values()].some((one) => one.state === "held"));
  if (held) wish({ do: "step" });
  else { state.said = T.nobody_held; dirty = true; }
}

document.addEventListener("keydown", (e) => {
  if (e.target.closest("input, select, button, textarea") && !(RECORDED && e.target.id === "place")) return;
  if (RECORDED) {
    const moves = { ArrowRight: 1, ArrowLeft: -1 };
    if (e.key in moves) { e.preventDefault(); to_call(state.servers[0].calls + moves[e.key]); }
    if (e.key === "Home" || e.key === "End") { e.preventDefault(); to_call(e.key === "Home" ? 0 : RECORDED.calls); }
  } else if (e.key === "h") $("#hold").click();
  else if (e.key === " ") { e.preventDefault(); if (state.paused) one_call(); }
});

// A server that runs.

let offset = null;
const clock = () => performance.now() / 1000 - (offset ?? 0);

async function wish(what) {
  try {
    const answer = await fetch("/do", { method: "POST", headers: { "X-Token": QUERY.get("token") ?? "" }, body: JSON.stringify(what) });
    if (!answer.ok) { state.said = await answer.text(); dirty = true; }
  } catch { state.said = T.lost; dirty = true; }
}

function live() {
  const source = new EventSource(`/events?token=${encodeURIComponent(QUERY.get("token") ?? "")}`);
  source.onmessage = (parcel) => {
    for (const e of JSON.parse(parcel.data)) {
      if (e.kind === "hello") state = nothing();
      if (e.kind === "reset") clear();
      apply(state, e);
    }
    if (state.t) {
      const ahead = performance.now() / 1000 - state.t;
      offset = offset === null ? ahead : Math.min(offset, ahead);
    }
    dirty = true;
  };
  source.onerror = () => { state.said = T.lost; dirty = true; };
}

// A recording.

function replay() {
  const open = new Map();
  let calls = 0;
  for (const e of RECORDED) {
    const key = `${e.s}/${e.thread}`;
    if (e.kind === "begin") { open.set(key, e); calls += 1; }
    if (e.kind === "end" && open.has(key)) { open.get(key).long = e.t - open.get(key).t > 0.002; open.delete(key); }
  }
  for (const e of open.values()) e.long = true;
  const times = RECORDED.filter((e) => e.t).map((e) => e.t);
  Object.assign(RECORDED, { calls, first: times[0], last: times.at(-1) });
  const place = () => to_call(Number(new URLSearchParams(location.hash.slice(1)).get("call") ?? 0));
  addEventListener("hashchange", place);
  place();
}

// Go to just after the begin of a call; 0 is the start.
function to_call(number) {
  number = Math.max(0, Math.min(RECORDED.calls, number || 0));
  let calls = 0, index = 0;
  while (index < RECORDED.length && !(RECORDED[index].kind === "begin" && calls === number)) calls += RECORDED[index++].kind === "begin";
  if (number === RECORDED.calls) index = RECORDED.length;
  else while (index > 0 && RECORDED[index - 1].kind !== "begin" && number > 0) index -= 1;
  to(index);
  history.replaceState(null, "", `#call=${number}`);
}

function to(index) {
  if (index < at) { state = nothing(); at = 0; clear(); }
  while (at < index) apply(state, RECORDED[at++]);
  dirty = true;
}

let playing = null;

function make_replay(bar) {
  const move = (by) => () => to_call((state.servers[0]?.calls ?? 0) + by);
  const play = () => {
    if (playing) { clearInterval(playing); playing = null; } else playing = setInterval(() => {
      if (at >= RECORDED.length) play(); else move(1)();
    }, 400);
    text($("#play"), playing === null ? T.play : T.pause);
  };
  bar.append(
    make("button", { textContent: "|◀", ariaLabel: T.restart, onclick: () => to_call(0) }),
    make("button", { id: "back", textContent: "◀", ariaLabel: T.back, onclick: move(-1) }),
    make("button", { id: "forth", textContent: "▶", ariaLabel: T.next, onclick: move(1) }),
    make("button", { id: "play", textContent: T.play, onclick: play }),
    make("input", { id: "place", type: "range", min: 0, max: RECORDED.length, ariaLabel: T.time, oninput: (e) => to(Number(e.target.value)) }),
    make("span", { id: "where" }), make_languages());
}

// A lesson: sentences, each about something that is on the screen.

let lesson = null;

function end_lesson() {
  lesson = null;
  $("#chosen").value = 0;
  $("#lesson").hidden = true;
  outline();
}

async function start_lesson(number, from = null) {
  end_lesson();
  if (!LESSONS[number]) return;
  $("#chosen").value = number;
  $("#lesson").hidden = false;
  lesson = { number, steps: LESSONS[number].steps, at: -1 };
  if (from !== null) { lesson.at = Number(from); return; } // its programs run already
  await wish({ do: "open", titles: LESSONS[number].programs });
  await next_sentence();
}

async function next_sentence() {
  Object.assign(lesson, { at: lesson.at + 1, chosen: null, met: false, outlined: null });
  $("#lesson").replaceChildren();
  for (const one of lesson.steps[lesson.at]?.do ?? []) await wish(one);
  dirty = true;
}

function outline(wanted = null) {
  for (const one of document.querySelectorAll(".look")) if (one !== wanted) one.classList.remove("look");
  wanted?.classList.add("look");
}

const said_in = (words) => words[LANG] ?? words.en;

function draw_lesson() {
  if (!lesson) return;
  const place = $("#lesson"), step = lesson.steps[lesson.at];
  if (!step) return draw_end(place);
  lesson.met ||= step.until(state); // what has been seen once was seen
  const target = lesson.met ? step.look : step.press;
  const there = target ? document.querySelector(target) : null;
  outline(there);
  if (there && lesson.outlined !== target) { lesson.outlined = target; there.scrollIntoView({ block: "nearest" }); }
  if (!place.children.length) {
    place.append(make("p", { textContent: said_in(step.say) }), make("p", { className: "question" }), make("p", { className: "answer" }), make("div", { className: "row" },
      make("button", { className: "go", onclick: next_sentence }), make("button", { textContent: T.lost_place, onclick: () => start_lesson(lesson.number) }),
      make("small", { textContent: T.of(lesson.at + 1, lesson.steps.length) })));
    if (step.ask)
      $(".question", place).append(`${said_in(step.ask.question)} `, ...step.ask.choices.flatMap((one) => [make("button", { className: "choice", textContent: said_in(one), onclick: () => answer(one) }), " "]));
  }
  place.dataset.at = lesson.at; place.dataset.there = lesson.met;
  const go = $(".go", place);
  const unanswered = Boolean(step.ask && !lesson.chosen);
  go.disabled = !lesson.met || unanswered;
  text(go, !lesson.met && step.press ? T.first_press : unanswered ? T.first_choose : T.next);
}

function answer(choice) {
  const { ask } = lesson.steps[lesson.at], right = ask.choices[ask.right], place = $("#lesson");
  lesson.chosen = choice;
  ask.choices.forEach((one, i) => place.querySelectorAll(".choice")[i].setAttribute("aria-pressed", String(one === choice)));
  text($(".answer", place), `${choice === right ? T.right : T.wrong(said_in(right))} ${said_in(ask.because)}`);
  dirty = true;
}

function draw_end(place) {
  outline();
  if (place.children.length) return;
  place.dataset.at = lesson.at;
  const next = lesson.number + 1;
  place.append(make("p", { textContent: T.lesson_end(lesson.number) }), make("div", { className: "row" },
    ...(LESSONS[next] ? [make("button", { textContent: T.go_to(next), onclick: () => start_lesson(next) })] : []),
    make("button", { textContent: T.lost_place, onclick: () => start_lesson(lesson.number) })));
}

document.title = T.title;
text($("h1"), RECORDED ? T.recording(RECORDED.find((e) => e.kind === "start")?.title ?? "") : T.title);
RECORDED ? replay() : live();
draw();
if (!RECORDED && QUERY.get("lesson")) {
  start_lesson(Number(QUERY.get("lesson")), QUERY.get("at"));
  QUERY.delete("at");
  history.replaceState(null, "", `?${QUERY}`);
}
