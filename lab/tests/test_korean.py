"""The browser view and the exercises in both languages: each has all of it, and one can change."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.exercises.catalogue import EXERCISES, Exercise
from lab.live import app, page
from lab.live.clients import KINDS, Client
from lab.pages import korean
from lab.tests import test_live
from lab.tests.test_live import Live, Page

chrome = test_live.chrome

STRING = r'"((?:[^"\\]|\\.)*)"'


def texts(script: str) -> dict[str, dict[str, str]]:
    """Return what `TEXT` has for each language: the parameters of each entry, by its name."""
    body = script.partition("const TEXT = {\n")[2].partition("\n};\n")[0]
    parts = re.split(r"^  (\w+): \{$", body, flags=re.MULTILINE)[1:]
    entry = re.compile(r'(?:^ +|, )(\w+): (?:"|\{|\(([\w, ]*)\) =>)', re.MULTILINE)
    found = {}
    for language, part in zip(parts[::2], parts[1::2], strict=True):
        own = re.sub(r"words: \{.*?\}", "words: {}", part, flags=re.DOTALL)
        found[language] = dict(entry.findall(own))
    return found


def missing(script: str) -> Iterator[str]:
    """Yield the sentences of the lessons that a language lacks, or has in the wrong letters."""
    both = re.compile(rf"\ben: (?:{STRING},\s*ko: {STRING})?")
    for match in both.finditer(script):
        en, ko = match.groups("")
        if not ko or clients(en) - clients(ko):
            yield script[match.start() + len("en: ") :][:60]
        elif en != ko and not re.search("[가-힣]", ko):
            yield ko


def clients(text: str) -> set[str]:
    """Return the clients that a sentence names."""
    return set(re.findall(r"c\d\b", text, re.ASCII))


def read(name: str) -> str:
    return (page.HERE / name).read_text()


def test_both_languages_have_the_same_words() -> None:
    found = texts(read("page.js"))
    assert tuple(found) == page.LANGUAGES
    assert len(found["en"]) > 60
    assert found["en"] == found["ko"]


def test_every_sentence_of_the_lessons_is_in_both() -> None:
    script = read("lessons.js")
    assert script.count("ko: ") > 50
    assert list(missing(script)) == []


def test_it_says_what_the_glossary_says() -> None:
    said = (read("page.js") + read("lessons.js")).replace("`", '"')  # on a page, code
    assert list(korean.forbidden(said)) == []
    assert list(korean.forbidden(said.replace('"스레드 ${n}"', '"쓰레드 ${n}"')))


WORDS = {
    "커넥션을": ["커넥션"],
    "논블럭킹": ["블럭킹"],
    "멀티쓰레드": ["쓰레드"],
    "시스템호출": ["시스템 호출"],
    "주 스레드": ["주 스레드"],
    "자주 스레드": [],
    "백그라운드": [],
    "라운드 로빈": [],
    "레디스": [],
    "기술자료": [],
    "`슬립`": [],
    "쓰지 않는 말": [],  # the head of the glossary's column
}


@pytest.mark.parametrize("words", WORDS)
def test_a_wrong_term_is_found_where_it_is_one(words: str) -> None:
    assert [never for never, _ in korean.forbidden(f"여기 {words}입니다.")] == WORDS[words]


def test_a_wrong_term_in_a_picture_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / korean.PICTURES[0].name
    for one in (page, korean.english(page)):
        shutil.copy(korean.BOARD / one.name, one)
    monkeypatch.setattr(korean, "ROOT", tmp_path)
    monkeypatch.setattr(korean, "PICTURES", [page])
    assert list(korean.faults(page)) == []
    page.write_text(page.read_text().replace("스레드", "쓰레드"))
    assert "쓰레드" in "".join(korean.faults(page))


def test_what_is_lost_is_found() -> None:
    script = read("page.js").replace('sleeps: "자는 중", ', "", 1)
    assert texts(script)["en"].keys() - texts(script)["ko"].keys() == {"sleeps"}
    script = read("page.js").replace("line_at: (n) => `, ${n}행`", "line_at: () => `행`", 1)
    assert texts(script)["en"] != texts(script)["ko"]
    lessons = read("lessons.js")
    (lost,) = missing(re.sub(r'\n *ko: "c2도 접속.*', "", lessons))
    assert lost.startswith('"c2 has connected')
    assert list(missing(lessons.replace("지금의 recv는 c1의", "지금의 recv는 c2의")))
    found = missing(re.sub(r'ko: "클라이언트마다 자기.*"', 'ko: "Each client"', lessons))
    assert list(found) == ["Each client"]


def test_the_kinds_of_clients_have_a_word() -> None:
    words = read("page.js").rpartition("words: {")[2].partition("}")[0]
    said = {app.TEN, *KINDS, "connect"}
    for things in KINDS.values():
        client = Client("silent", "127.0.0.1", 0, lambda **_: None)
        said |= {name for name, _ in things(client) if "^" not in name and "$" not in name}
        client.sock.close()
    for one in said:
        if not re.match(r"send .*\d{3}$", one):
            assert f'"{one}": ' in words or f"{one}: " in words, one


def test_the_language_is_changed_at_the_same_place(chrome: Any) -> None:
    with Live("1/minimal", "--lang", "ko") as live:
        shown = Page(chrome, f"{live.url}&lesson=1")
        shown.shows("#lesson p", "프로그램 하나, 스레드 하나")
        shown.click("#lesson .go")
        shown.shows("#lesson p", "c1이 접속했습니다")
        assert shown.js("document.documentElement.lang") == "ko"
        shown.choose("#language", "en")
        shown.shows("#lesson p", "c1 has connected")
        shown.until("q('#lesson').dataset.there === 'true'")
        assert shown.js("[state.clients.size, QUERY.get('at')]") == [1, None]
        assert live.token.partition("&")[0] in shown.js("location.search")


def faults(exercise: Exercise) -> Iterator[str]:
    """Yield what is wrong with the Korean of an exercise: its hints, and its title."""
    if len(exercise.hints) != len(exercise.hints_ko):
        yield "not as many hints"
    for pair in zip(exercise.hints, exercise.hints_ko, strict=False):
        theirs, ours = (sorted(re.findall(r"`[^`]+`", one)) for one in pair)
        if theirs != ours:
            yield f"{ours}, in English {theirs}"
    for one in exercise.hints_ko:
        yield from (*korean.left(one), *(never for never, _ in korean.forbidden(one)))
    page = exercise.program.with_name("README.ko.md").read_text().replace("`", "")
    title = korean.translated(exercise.title)
    if f"# {int(exercise.number)}. {title}\n" not in page:
        yield f"{title} is not the title of its page"


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda one: str(one.name))
def test_an_exercise_says_the_same_in_both(exercise: Exercise) -> None:
    assert list(faults(exercise)) == []


def test_what_an_exercise_does_not_say_in_both_is_found() -> None:
    one = EXERCISES["03"]
    first, second, third = one.hints_ko
    for wrong, said in (
        ([first, second], "not as many hints"),
        ([first.replace("`close`", "`end`"), second, third], "['`end`', '`with`'], in English"),
        ([first, second.replace("연결", "커넥션"), third], "커넥션"),
        ([first, one.hints[1], third], "A socket that is closed"),
    ):
        assert said in "\n".join(faults(replace(one, hints_ko=tuple(wrong))))
    assert "is not the title" in "".join(faults(replace(one, title="Survive a reset")))
