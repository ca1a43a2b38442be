
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
  return { servers: [], clients: new Map(), paused: false, delay: 0, said: "", t: 0 };
}

function server() {
  return {
    title: "", files: {}, file: "", threads: new Map(), names: new Map(), never_sleeps: new Set(), set: new Map(), ready: null,
    mechanism: "", listener: null, peers: new Map(), kernel: null, wake: 0, loop: {}, calls: 0, vain: 0,
    rows: [], exit: "", unseen: false,
  };
}

function apply(state, e) {
  const s = state.servers[e.s], thread = "thread" in e ? thread_of(s, e) : null;
  if (e.t) state.t = e.t;
  switch (e.kind) {
    case "hello": offer(e); break;
    case "reset": clear(); Object.assign(state, nothing(), { servers: Array.from({ length: e.count }, server) }); break;
    case "start": s.title = e.title; break;
    case "source": s.files[e.file] = e.text.split("\n"); s.file ||= e.file; break;
    case "mode": state.paused = e.paused; state.delay = e.delay; break;
    case "serves": s.unseen = !e.seen; break;
    case "exit": s.exit = e.how; for (const one of s.threads.values()) over(one, e.t); break;
    case "kernel": s.kernel = e.backlog ? e : null; break;
    case "thread": if (e.over) over(thread, e.t); break;
    case "idle": idle(thread, e); break;
    case "begin": begin(state, s, thread, e); break;
    case "leave": if (thread.state === "held") enter(thread, e.t); break;
    case "end": if (thread.call) end(state, s, thread, e); break;
    case "client": client_event(state, s, e); break;
  }
}

function thread_of(s, e) {
  if (!s.threads.has(e.thread))
    s.threads.set(e.thread, { number: e.thread, state: "runs", call: null, lane: [], since: e.t, until: null });
  return s.threads.get(e.thread);
}

// What was last in a lane ends, and something else may begin.
function turn(lane, t, kind = null, label = "") {
  const last = lane.at(-1);
  if (last?.until === null) last.until = t;
  if (kind) lane.push({ from: t, until: null, kind, label });
}

// Whether a thread sleeps in no call that is recorded.
function idle(thread, e) {
  thread.idle = e.idle;
  if (!thread.call) turn(thread.lane, e.t, e.idle && "in");
}

function over(thread, t) {
  turn(thread.lane, t);
  thread.state = "over"; thread.call = null; thread.until ??= t;
}

// The call of a thread is made.
function enter(thread, t) {
  thread.state = "in"; thread.call.at = t;
  turn(thread.lane, t, "in", thread.call.call);
}

function begin(state, s, thread, e) {
  thread.idle = false; thread.call = e; e.never_sleeps = s.never_sleeps.has(e.fd);
  if (e.held) { thread.state = "held"; turn(thread.lane, e.t, "held", e.call); } else enter(thread, e.t);
  if (e.file && s.files[e.file]) s.file = e.file;
  if (["listen", "accept"].includes(e.call)) s.listener = e.fd;
  if (e.call === "setblocking" && e.given?.[0] === false) s.never_sleeps.add(e.fd);
  if (HANDED.test(e.call)) s.set = new Map(e.fds);
  else for (const [fd, way] of e.fds ?? []) way ? s.set.set(fd, way) : s.set.delete(fd);
  if (WAITS.test(e.call)) { s.mechanism = e.call; s.ready = null; }
  if (e.loop) s.loop = e.loop;
  s.calls += 1;
  const what = sentence(s, e);
  thread.row = { number: s.calls, s: e.s, thread: e.thread, begin: e, what, came: null };
  s.rows.push(thread.row);
  if (s.rows.length > 300) s.rows.splice(0, 100);
  state.said = e.held && thread.last ? `${thread.last}; ${T.before(what)}` : `${name_of(thread)}: ${what}`;
}

function end(state, s, thread, e) {
  const { call, row } = thread;
  turn(thread.lane, e.t);
  if (thread.lane.length > 4000) thread.lane.splice(0, 1000);
  if (e.error === "EAGAIN") s.vain += e.count ?? 1;
  else if (call.call === "accept" && e.result != null) s.peers.set(e.result, e.peer);
  else if (call.call === "close") { s.peers.delete(call.fd); s.never_sleeps.delete(call.fd); if (!HANDED.test(s.mechanism)) s.set.delete(call.fd); }
  else if (is_wakeup(s, call) && e.result) s.wake += call.call === "send" ? e.result : -e.result;
  if (e.ready) s.ready = e.ready;
  thread.call = null; thread.state = "runs";
  row.came = result(s, call, e);
  state.said = thread.last = `${name_of(thread)}: ${row.what} → ${row.came}`;
}

// The two ends of a pair of sockets that the program has for itself have no address.
function is_wakeup(s, call) {
  return ["send", "recv"].includes(call.call) && !call.peer && call.fd !== s.listener && !s.peers.has(call.fd);
}

function client_event(state, s, e) {
  if (!state.clients.has(e.name)) state.clients.set(e.name, { name: e.name, kind: e.what, next: "", at: [] });
  const client = state.clients.get(e.name);
  const here = (client.at[e.s] ??= { state: "", sent: "", sizes: [0, 0], got: "", lane: [] });
  const be = (what, kind) => { here.state = what; turn(here.lane, e.t, kind); };
  switch (e.did) {
    case "added": case "next": client.next = e.next; break;
    case "connected": s.names.set(e.address, e.name); be("waits", "waits"); break;
    case "send": here.sent = tail(here.sent + e.data, e.size); here.sizes[0] += e.size; if (here.state !== "waits") turn(here.lane, e.t, "asks"); break;
    case "received": here.got = tail(here.got + e.data, e.size); here.sizes[1] += e.size; be("served", "silent"); break;
    case "end": be("end"); break;
    case "failed": here.error = `${T.refuses(word(e.what))}: ${e.error}`; be("failed"); break;
    case "reset": case "left": client.left = true; client.next = ""; be("left"); break;
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
  if (address) return name_at(s, address);
  return s.listener === null ? `${fd}` : `${T.wakeup} (${fd})`;
}

// Whose address it is, or that itself.
function name_at(s, address) {
  return s.names.get(address) ?? address;
}

function sentence(s, e) {
  const given = (e.given ?? []).map((one) => (typeof one === "string" && !one.startsWith("(") ? JSON.stringify(one) : one));
  if (HANDED.test(e.call)) given.unshift(T.handed_over(e.handed));
  else if (e.fd != null) given.unshift(who(s, e.fd, e.call === "accept" ? null : e.peer));
  return `${e.call}(${given.join(", ")})${e.line ? T.line_at(e.line) : ""}`;
}

function result(s, call, e) {
  if (e.error) return e.error + (e.count > 1 ? `, ${T.times(e.count)}` : "");
  if (e.ready) return e.ready.map((fd) => who(s, fd)).join(", ") || T.nobody;
  if (call.call === "accept") return T.is(name_at(s, e.peer), e.result);
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
  const long = RECORDED ? thread.call.long : clock() - thread.call.at > 0.05;
  return long && !thread.call.never_sleeps ? "sleeps" : "calling";
}

// Making the page.

const $ = (selector, within = document) => within.querySelector(selector);

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const button = (textContent, onclick, more = {}) => make("button", { textContent, onclick, ...more });

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

// What the page has of a run that is over goes.
function clear() {
  for (const place of [$("#servers"), $("#clients ul"), $("#calls tbody")]) sync(place, [], () => 0);
}

let state = nothing();
let at = 0; // in a recording: how many events have been applied
let drawn = 0; // calls at the last picture
let drawn_at = 0, said_at = 0; // when that was, and when the page last said something
let dirty = true;

function say(what) {
  state.said = what;
  dirty = true;
}

const in_state = (wanted) => state.servers.some((s) => [...s.threads.values()].some((one) => one.state === wanted));

function draw() {
  requestAnimationFrame(draw);
  const moving = !RECORDED && in_state("in") && performance.now() - drawn_at > 200;
  if (!dirty && !moving) return;
  dirty = false; drawn_at = performance.now();
  RECORDED ? draw_replay() : draw_controls();
  const host = $("#servers");
  host.className = state.servers.length > 1 ? "several" : "";
  sync(host, [...state.servers.entries()], ([number]) => number, make_server, draw_server);
  draw_clients();
  draw_calls();
  const calls = state.servers.reduce((sum, s) => sum + s.calls, 0), skipped = calls - drawn;
  drawn = calls;
  if (performance.now() - said_at > 500 || state.paused || RECORDED) {
    said_at = performance.now();
    const ended = state.servers.find((s) => s.exit), unseen = state.servers.some((s) => s.unseen);
    const said = state.said + (skipped > 100 ? ` (${T.dropped(skipped)})` : "");
    text($("#said"), ended ? T.ended + ended.exit : unseen ? T.unseen : said);
    $("#said").classList.toggle("bad", Boolean(ended));
  } else dirty = true;
  draw_lesson();
  document.documentElement.style.setProperty("--head", `${$("header").offsetHeight}px`);
}

function make_server() {
  return make("div", { className: "server", innerHTML: `
    <section class="program"><h2></h2><ul class="threads"></ul><ol class="code" tabindex="0"></ol></section>
    <section class="kernel">
      <h2>${T.kernel}</h2>
      <h3>${T.listening}</h3><div class="backlog"></div>
      <h3>${T.connections}</h3>
      <table class="connections">
        <thead><tr><th scope="col"></th><th scope="col">${T.unread}</th><th scope="col">${T.unsent}</th></tr></thead>
        <tbody></tbody>
      </table>
      <div class="mechanism" hidden><h3></h3><div class="set"></div><h3>${T.came_back}</h3><div class="ready"></div></div>
      <div class="loop"></div>
    </section>
    <section class="time">
      <h2></h2><canvas class="lanes" role="img" aria-label="${T.time}"></canvas><small>${T.lane_runs}</small>
    </section>` });
}

function draw_server(place, [number, s]) {
  text($("h2", place), `${T.program_of}: ${s.title}`);
  const threads = [...s.threads.values()];
  sync($(".threads", place), threads.slice(-40), (one) => one.number, (one) => make_thread(number, one), (row, one) => draw_thread(row, s, one));
  draw_code($(".code", place), s, threads);
  draw_kernel(place, s);
  text($(".time h2", place), `${T.time}: ${T.counted(s.calls, s.vain)}`);
  draw_lanes($("canvas", place), threads.slice(-8), number);
}

function make_thread(session, thread) {
  const step = button(T.step, () => wish({ do: "step", session, thread: thread.number }), { className: "step" });
  return make("li", {}, make("b", { textContent: name_of(thread) }), " ", make("span"), " ", make("span", { className: "call" }), " ", step);
}

function draw_thread(row, s, thread) {
  const [, badge, call, step] = row.children, shown = shown_state(thread);
  row.dataset.state = shown; row.dataset.call = thread.call?.call ?? "";
  text(badge, T[shown]);
  badge.className = `state ${shown}`;
  const what = shown === "idle" ? T.elsewhere : thread.call ? sentence(s, thread.call) : "";
  text(call, shown === "held" ? T.before(what) : what);
  step.disabled = shown !== "held" || RECORDED !== null;
}

function draw_code(list, s, threads) {
  const lines = s.files[s.file];
  if (!lines) return;
  if (list.ariaLabel !== s.file) {
    list.ariaLabel = s.file;
    list.replaceChildren(...lines.map((line) => make("li", {}, make("b", { className: "who" }), make("span", { textContent: line || " " }))));
  }
  const there = new Map(); // for each line where a thread is, those threads
  for (const thread of threads) {
    const line = thread.call?.file === s.file && list.children[thread.call.line - 1];
    if (line) there.set(line, [...(there.get(line) ?? []), thread]);
  }
  for (const line of list.querySelectorAll(".at")) if (!there.has(line)) { line.className = ""; text(line.children[0], ""); }
  for (const [line, those] of there) {
    const names = those.slice(0, 2).map((one) => T.short(one.number)).join(" ");
    text(line.children[0], `${names}${those.length > 2 ? " …" : ""} ▶`);
    const top = line.offsetTop - list.offsetTop, seen = top - list.scrollTop;
    if (!line.className && (seen < 0 || seen > list.clientHeight - 30)) list.scrollTop = top - list.clientHeight / 2;
    line.className = those.some((one) => one.state === "held") ? "at held" : "at";
  }
}

const MOST = 200; // that are drawn, of anything

function chips(where, all, none, className = "chip") {
  const names = all.length > MOST ? [...all.slice(0, MOST), `+ ${all.length - MOST}`] : all;
  const wanted = JSON.stringify([names, none]);
  if (where.shown === wanted) return;
  where.shown = wanted;
  where.replaceChildren(...names.map((textContent) => make("span", { className, textContent })));
  if (!names.length) where.append(make("span", { className: "none", textContent: none }));
}

function draw_kernel(place, s) {
  const names = (all) => all?.map((one) => name_at(s, one)) ?? [];
  chips($(".backlog", place), names(s.kernel?.backlog), s.kernel ? T.nobody : T.unknown);
  draw_connections($("tbody", place), s);
  const part = $(".mechanism", place), whom = (all) => [...(all ?? [])].map((fd) => who(s, fd));
  part.hidden = !s.mechanism;
  text($("h3", part), `${s.mechanism.split(".")[0]}: ${HANDED.test(s.mechanism) ? T.handed : T.keeps}`);
  chips($(".set", part), whom(s.set.keys()), T.nobody);
  chips($(".ready", part), whom(s.ready), s.ready ? T.nobody : T.not_yet, "chip ready");
  const { timers = [], queue } = s.loop;
  const lines = [s.wake > 0 && T.wake(s.wake), timers.length && `${T.timers}: ${timers.map(T.due).join(", ")}`, queue && T.queue(queue)];
  text($(".loop", place), lines.filter(Boolean).join("; "));
}

function draw_connections(body, s) {
  const accepted = new Map([...s.peers].map(([fd, peer]) => [peer, fd]));
  const known = s.kernel ? Object.entries(s.kernel.connections) : [...accepted.keys()].map((peer) => [peer, ["?", "?", ""]]);
  known.sort(([one], [other]) => (accepted.get(one) ?? 1e9) - (accepted.get(other) ?? 1e9));
  const rows = known.slice(0, MOST), more = known.length - rows.length + (s.kernel?.more ?? 0);
  if (more) rows.push([`+ ${more}`, ["", "", ""]]);
  const make_row = () => make("tr", {}, make("th", { scope: "row" }), make("td"), make("td"));
  sync(body, rows, ([peer]) => peer, make_row, (row, [peer, [unread, unsent, there]]) => {
    row.dataset.peer = name_at(s, peer);
    text(row.children[0], name_at(s, peer) + (accepted.has(peer) ? ` (${accepted.get(peer)})` : ""));
    text(row.children[1], `${unread}`);
    text(row.children[2], `${unsent + there}`);
  });
}

// The lanes of time.

const GONE = new Set(["end", "failed", "left"]);
const HEIGHT = 16, NAME = 92, WINDOW = 20;
const LOOKS = { runs: "runs", in: "sleeps", held: "held", waits: "held", silent: "line", asks: "asks" };

function draw_lanes(canvas, threads, number) {
  const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(`--${name}`);
  const gone = (client) => GONE.has(client.at[number].state);
  const clients = [...state.clients.values()].filter((one) => one.at[number]).sort((one, other) => gone(one) - gone(other)).slice(0, 10);
  const lanes = [
    ...clients.map((one) => [one.name, one.at[number].lane]),
    ...threads.map((one) => [name_of(one), [{ from: one.since, until: one.until, kind: "runs" }, ...one.lane]]),
  ];
  const now = RECORDED ? state.t : clock();
  const from = RECORDED ? RECORDED.first : now - WINDOW, until = RECORDED ? RECORDED.last : now;
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = lanes.length * (HEIGHT + 4) + 16;
  canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif"; pen.textBaseline = "middle"; pen.strokeStyle = colour("ink");
  const write = (what, x, y, ink) => { pen.fillStyle = colour(ink); pen.fillText(what, x, y); };
  const x = (t) => NAME + Math.max(0, Math.min(1, (t - from) / (until - from || 1))) * (width - NAME - 4);
  let y = 2;
  for (const [name, bars] of lanes) {
    write(name.slice(0, 15), 0, y + HEIGHT / 2, "ink");
    for (const bar of bars.filter((one) => (one.until ?? now) >= from)) {
      const a = x(bar.from), b = Math.max(x(bar.until ?? now), a + 1);
      pen.fillStyle = colour(LOOKS[bar.kind]); pen.fillRect(a, y, b - a, HEIGHT);
      if (LOOKS[bar.kind] === "held")
        for (let i = a; i < b; i += 5) { pen.beginPath(); pen.moveTo(i, y + HEIGHT); pen.lineTo(Math.min(i + 5, b), y); pen.stroke(); }
      if (bar.label && b - a > pen.measureText(bar.label).width + 6) write(bar.label, a + 3, y + HEIGHT / 2, "ink");
    }
    y += HEIGHT + 4;
  }
  write(RECORDED ? `${(until - from).toFixed(1)} s` : `- ${WINDOW} s`, NAME, y + 6, "dim");
  if (RECORDED) { pen.fillStyle = colour("mark"); pen.fillRect(x(now) - 1, 0, 2, y); }
}

// The clients.

function draw_clients() {
  const there = [...state.clients.values()].filter((one) => !one.left);
  const over = (one) => one.at.every((here) => GONE.has(here.state));
  const shown = [...there.filter((one) => !over(one)).slice(-100), ...there.filter(over).slice(-5)];
  sync($("#clients ul"), shown, (one) => one.name, make_client, draw_client);
}

function make_client({ name: client, kind }) {
  const [example, end] = state.servers.some((s) => /prime|file/.test(s.title)) ? ["7", "\n"] : ["^a$", ""];
  const typed = make("input", { ariaLabel: `${client}: ${T.line}`, size: 12, value: example });
  const send = (event) => { event.preventDefault(); wish({ do: "write", client, text: typed.value + end }); };
  const controls = RECORDED ? [] : [
    button("", () => wish({ do: "next", client }), { className: "next" }),
    button(T.itself, () => wish({ do: "play", client }), { className: "play" }),
    make("form", { className: "row", onsubmit: send, hidden: kind !== "by hand" }, typed, button(T.send)),
    button(T.remove, () => wish({ do: "remove", client }), { ariaLabel: `${T.remove} ${client}` }),
  ];
  return make("li", {}, make("b", { textContent: client }), ` ${word(kind ?? "")} `, make("div", { className: "cells" }), make("div", { className: "row" }, ...controls));
}

function draw_client(row, client) {
  row.dataset.client = client.name;
  sync($(".cells", row), [...client.at.entries()], ([number]) => number, () => make("div", { className: "bytes" }), (cell, [, here]) => {
    const part = (word, size, data) => size && `${word} ${T.bytes(size)}${data && ` ${JSON.stringify(data)}`}`;
    const how = { waits: T.waits, end: T.end, failed: here.error }[here.state];
    text(cell, [part(T.sent, here.sizes[0], here.sent), part(T.got, here.sizes[1], here.got), how].filter(Boolean).join("; "));
  });
  const next = $(".next", row);
  if (next) {
    next.hidden = $(".play", row).hidden = !client.next;
    text(next, word(client.next));
  }
}

// The calls, one a row.

function draw_calls() {
  const several = state.servers.length > 1, rows = state.servers.flatMap((s) => s.rows.slice(-60));
  if (several) rows.sort((a, b) => a.begin.t - b.begin.t);
  const scroll = $("#calls .scroll"), low = scroll.scrollTop + scroll.clientHeight > scroll.scrollHeight - 30;
  const make_row = () => make("tr", {}, make("td"), make("td"), make("td"), make("td"));
  sync($("#calls tbody"), rows.slice(-60), (one) => `${one.s}/${one.number}`, make_row, (line, one) => {
    if (line.done) return;
    line.dataset.number = one.number;
    const program = several ? `${state.servers[one.s].title.slice(0, 5)} ` : "";
    const words = [program + one.number, T.short(one.thread), one.what, one.came === null ? "…" : `→ ${one.came}`];
    words.forEach((said, i) => text(line.children[i], said));
    line.done = one.came !== null;
  });
  if (low) scroll.scrollTop = scroll.scrollHeight;
}

// The controls.

function draw_controls() {
  text($("#hold"), state.paused ? T.go : T.hold);
  $("#hold").setAttribute("aria-pressed", String(state.paused));
  $("#step").disabled = !state.paused;
  const [first, second] = state.servers.map((s) => s.title);
  for (const [choice, value] of [["#program", first ?? ""], ["#beside", second ?? ""], ["#speed", state.delay]])
    if (document.activeElement !== $(choice)) $(choice).value = value; // or the reader is about to choose
}

// What there is to choose from: programs, and kinds of clients.
function offer({ programs, kinds }) {
  if ($(".adding").children.length) return;
  for (const choice of ["#program", "#beside"]) $(choice).append(...programs.map((one) => new Option(one)));
  const kind = make("select", { ariaLabel: T.kind }, ...kinds.map((one) => new Option(word(one), one)));
  const about = make("small", { textContent: T.about[kind.value] });
  kind.onchange = () => text(about, T.about[kind.value]);
  $(".adding").append(kind, button(T.add, () => wish({ do: "add", kind: kind.value })), about);
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

function make_live() {
  const open = () => end_lesson() ?? wish({ do: "open", titles: [...new Set([$("#program").value, $("#beside").value].filter(Boolean))] });
  const choice = (id, name, onchange, ...options) => make("label", {}, `${name} `, make("select", { id, onchange }, ...options));
  const speeds = [new Option(T.full_speed, 0), ...[0.1, 0.5, 1].map((one) => new Option(T.each(one), one))];
  $("#controls").append(
    button(T.hold, () => wish({ do: "mode", paused: !state.paused, delay: state.delay }), { id: "hold", title: T.key }),
    button(T.step, one_call, { id: "step" }),
    choice("speed", T.speed, (e) => wish({ do: "mode", paused: false, delay: Number(e.target.value) }), ...speeds),
    choice("program", T.program, open),
    choice("beside", T.beside, open, new Option(T.nothing, "")),
    button(T.again, () => (lesson ? start_lesson(lesson.number) : open()), { id: "again" }),
    choice("chosen", T.lesson, (e) => start_lesson(Number(e.target.value)), new Option(T.no_lesson, 0), ...Object.keys(LESSONS).map((one) => new Option(one))),
    make_languages());
}

function one_call() {
  in_state("held") ? wish({ do: "step" }) : say(T.nobody_held);
}

document.addEventListener("keydown", (e) => {
  if (e.target.closest("input, select, button, textarea") && !(RECORDED && e.target.id === "place")) return;
  const calls = state.servers[0]?.calls;
  const keys = RECORDED
    ? { ArrowRight: () => to_call(calls + 1), ArrowLeft: () => to_call(calls - 1), Home: () => to_call(0), End: () => to_call(RECORDED.calls) }
    : { h: () => $("#hold").click(), " ": () => $("#step").click() };
  if (!keys[e.key] || e.ctrlKey || e.altKey || e.metaKey) return;
  e.preventDefault();
  keys[e.key]();
});

// A server that runs.

let offset = null;
const clock = () => performance.now() / 1000 - (offset ?? 0);

async function wish(what) {
  try {
    const answer = await fetch("/do", { method: "POST", headers: { "X-Token": QUERY.get("token") ?? "" }, body: JSON.stringify(what) });
    if (!answer.ok) say(await answer.text());
  } catch { say(T.lost); }
}

function live() {
  make_live();
  const source = new EventSource(`/events?token=${encodeURIComponent(QUERY.get("token") ?? "")}`);
  source.onmessage = (parcel) => {
    for (const e of JSON.parse(parcel.data)) apply(state, e);
    if (state.t) offset = Math.min(offset ?? Infinity, performance.now() / 1000 - state.t);
    dirty = true;
  };
  source.onerror = () => say(T.lost);
}

// A recording.

function replay() {
  make_replay();
  const open = new Map(), places = [];
  for (const [i, e] of RECORDED.entries()) {
    const key = `${e.s}/${e.thread}`;
    if (e.kind === "begin") { open.set(key, e); e.long = true; places.push(i + 1); }
    if (e.kind === "end" && open.has(key)) { open.get(key).long = e.t - open.get(key).t > 0.002; open.delete(key); }
  }
  const times = RECORDED.map((e) => e.t).filter(Boolean), calls = places.length;
  places.unshift(calls ? places[0] - 1 : 0);
  places[calls] = RECORDED.length;
  Object.assign(RECORDED, { calls, places, first: times[0], last: times.at(-1) });
  const place = () => to_call(parseInt(new URLSearchParams(location.hash.slice(1)).get("call")));
  addEventListener("hashchange", place);
  place();
}

// Go to just after the begin of a call; 0 is before the first, and after the last is the end.
function to_call(number) {
  number = Math.max(0, Math.min(RECORDED.calls, number || 0));
  to(RECORDED.places[number]);
  history.replaceState(null, "", `#call=${number}`);
}

function to(index) {
  if (index < at) { state = nothing(); at = 0; }
  while (at < index) apply(state, RECORDED[at++]);
  dirty = true;
}

let playing = null;

function make_replay() {
  const move = (by) => () => to_call((state.servers[0]?.calls ?? 0) + by);
  const play = () => {
    if (playing) { clearInterval(playing); playing = null; } else playing = setInterval(() => {
      if (at >= RECORDED.length) play(); else move(1)();
    }, 400);
    text($("#play"), playing === null ? T.play : T.pause);
  };
  $("#controls").append(
    button("|◀", () => to_call(0), { ariaLabel: T.restart }),
    button("◀", move(-1), { id: "back", ariaLabel: T.back }),
    button("▶", move(1), { id: "forth", ariaLabel: T.next }),
    button(T.play, play, { id: "play" }),
    make("input", { id: "place", type: "range", min: 0, max: RECORDED.length, ariaLabel: T.time, oninput: (e) => to(Number(e.target.value)) }),
    make("span", { id: "where" }), make_languages());
}

function draw_replay() {
  $("#place").value = at;
  text($("#where"), `${state.servers[0]?.calls ?? 0} / ${RECORDED.calls}`);
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
  lesson = { number, steps: LESSONS[number].steps, at: Number(from ?? -1) };
  if (from !== null) return; // its programs run already
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
const from_the_beginning = () => button(T.lost_place, () => start_lesson(lesson.number));

function draw_lesson() {
  if (!lesson || lesson.at < 0) return;
  const place = $("#lesson"), step = lesson.steps[lesson.at];
  place.hidden = false;
  place.dataset.at = lesson.at;
  if (!step) return draw_end(place);
  lesson.met ||= Boolean(step.until(state)); // what has been seen once was seen
  const target = lesson.met ? step.look : step.press;
  const there = target ? $(target) : null;
  outline(there);
  if (there && lesson.outlined !== target) { lesson.outlined = target; there.scrollIntoView({ block: "nearest" }); }
  if (!place.children.length) {
    const choices = step.choices?.map((one) => button(said_in(one), () => answer(one), { className: "choice" })) ?? [];
    const question = step.question ? [`${said_in(step.question)} `, ...choices.flatMap((one) => [one, " "])] : [];
    place.append(make("p", { textContent: said_in(step) }), make("p", { className: "question" }, ...question), make("p", { className: "answer" }),
      make("div", { className: "row" }, button("", next_sentence, { className: "go" }), from_the_beginning(),
        make("small", { textContent: T.of(lesson.at + 1, lesson.steps.length) })));
  }
  place.dataset.there = lesson.met;
  const go = $(".go", place);
  const unanswered = Boolean(step.question && !lesson.chosen);
  go.disabled = !lesson.met || unanswered;
  text(go, !lesson.met && step.press ? T.first_press : unanswered ? T.first_choose : T.next);
}

function answer(choice) {
  const step = lesson.steps[lesson.at], right = step.choices[step.right];
  lesson.chosen = choice;
  document.querySelectorAll(".choice").forEach((one, i) => one.setAttribute("aria-pressed", String(step.choices[i] === choice)));
  text($("#lesson .answer"), `${choice === right ? T.right : T.wrong(said_in(right))} ${said_in(step.because)}`);
  dirty = true;
}

function draw_end(place) {
  outline();
  if (place.children.length) return;
  const next = lesson.number + 1;
  const go_on = LESSONS[next] ? [button(T.go_to(next), () => start_lesson(next))] : [];
  place.append(make("p", { textContent: T.lesson_end(lesson.number) }), make("div", { className: "row" }, ...go_on, from_the_beginning()));
}

document.title = T.title;
text($("h1"), RECORDED ? T.recording(RECORDED.find((e) => e.kind === "start")?.title ?? "") : T.title);
text($("#clients h2"), T.clients);
text($("#calls h2"), T.calls);
RECORDED ? replay() : live();
draw();
if (!RECORDED && QUERY.get("lesson")) {
  start_lesson(Number(QUERY.get("lesson")), QUERY.get("at"));
  QUERY.delete("at");
  history.replaceState(null, "", `?${QUERY}`);
}
