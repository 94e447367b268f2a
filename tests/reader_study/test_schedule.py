"""Who reads which case when: balance over conditions, classes and readers, and orders by seed."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vrft_aug.reader_study.protocol import Protocol
from vrft_aug.reader_study.schedule import drawn_cases, schedule

STRATA = [f"class {i % 3}" for i in range(20)]


def protocol(**settings: Any) -> Protocol:
    return Protocol.model_validate(
        {"name": "s", "run": "r", "readers": ["A", "B", "C", "D"], "seed": 3, **settings}
    )


def test_a_crossover_has_every_case_in_both_conditions_evenly() -> None:
    study = protocol()
    for reader in range(4):
        slots = schedule(study, STRATA, [2, 5], reader)
        assert [slot.place for slot in slots] == list(range(42))
        first, second, rated = ([s for s in slots if s.session == n] for n in (1, 2, 3))
        assert sorted(s.case for s in first) == sorted(s.case for s in second) == list(range(20))
        before = {s.case: s.doing for s in first}
        assert all(before[s.case] != s.doing for s in second)
        assert Counter(s.doing for s in first) == {"aided": 10, "unaided": 10}
        by_class = Counter((STRATA[s.case], s.doing) for s in first)
        assert all(abs(by_class[c, "aided"] - by_class[c, "unaided"]) <= 1 for c in set(STRATA))
        assert sorted(s.case for s in rated) == [2, 5] and {s.doing for s in rated} == {"rating"}
    deals = [{s.case: s.doing for s in schedule(study, STRATA, [], n) if s.session == 1} for n in (0, 1)]
    assert all(deals[0][case] != deals[1][case] for case in range(20))  # the next reader has the others


def test_orders_differ_by_reader_session_and_seed_and_by_nothing_else() -> None:
    def order(reader: int, session: int, **settings: Any) -> list[int]:
        slots = schedule(protocol(**settings), STRATA, [], reader)
        return [s.case for s in slots if s.session == session]

    assert order(0, 1) == order(0, 1) == order(0, 1, readers=["A", "B", "C", "D", "E"])
    orders = [order(0, 1), order(0, 2), order(1, 1), order(0, 1, seed=4)]
    assert len({tuple(one) for one in orders}) == 4
    assert order(0, 1)[:6] == [12, 14, 16, 6, 17, 4]  # another version deals as this one


def test_each_case_once_in_one_condition_and_over_two_readers_in_both() -> None:
    study = protocol(each="one")
    deals = [{s.case: s.doing for s in schedule(study, STRATA, [], reader)} for reader in (0, 1)]
    assert all(len(deal) == 20 and Counter(deal.values())["aided"] == 10 for deal in deals)
    assert all(deals[0][case] != deals[1][case] for case in range(20))


def test_blocks_keep_a_condition_together_and_readers_begin_with_different_ones() -> None:
    study, begun = protocol(order="blocks"), []
    for reader in range(4):
        for session in (1, 2):
            doing = [s.doing for s in schedule(study, STRATA, [], reader) if s.session == session]
            assert doing == sorted(doing, key=lambda one: one != doing[0])
            begun.append((reader, session, doing[0]))
    assert Counter(one for _, session, one in begun if session == 1) == {"aided": 2, "unaided": 2}
    assert {r: len({d for rr, _, d in begun if rr == r}) for r in range(4)} == dict.fromkeys(range(4), 2)


def test_one_condition_or_none_is_one_session_or_none() -> None:
    assert {s.doing for s in schedule(protocol(conditions=["unaided"]), STRATA, [], 0)} == {"unaided"}
    only = schedule(protocol(conditions=[], rating=True), STRATA, [1, 4], 0)
    assert [(s.session, s.doing) for s in only] == [(1, "rating")] * 2


def test_few_cases_are_drawn_of_every_class() -> None:
    drawn = drawn_cases(STRATA, 6, 0)
    assert drawn == sorted(drawn) and Counter(STRATA[n] for n in drawn) == dict.fromkeys(set(STRATA), 2)
    assert drawn_cases(STRATA, None, 0) == list(range(20)) == drawn_cases(STRATA, 99, 0)
    assert set(drawn_cases(STRATA, 3, 0)) <= set(drawn)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"readers": []}, "readers"),
        ({"readers": ["A", "a"]}, "twice"),
        ({"readers": ["A B"]}, "readers"),
        ({"run": None}, "names no run"),
        ({"run": None, "predictions": "p", "recipe": "r"}, "task is missing"),
        ({"recipe": "r"}, "both run and recipe"),
        ({"conditions": []}, "nothing to do"),
        ({"conditions": ["aided", "aided"]}, "twice"),
        ({"conditions": ["helped"]}, "'unaided' or 'aided'"),
        ({"washout_days": -1}, "washout_days"),
        ({"wash_out": 1}, "did you mean 'washout_days'"),
    ],
)
def test_faults_of_a_study_file_are_one_line(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    import yaml

    from vrft_aug.errors import UserError
    from vrft_aug.reader_study.protocol import load_protocol

    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({"name": "s", "run": "r", "readers": ["A"], **changed}))
    with pytest.raises(UserError, match=said) as error:
        load_protocol(str(path))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500 and "s.yaml" in str(error.value)


def test_files_lie_beside_the_study_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vrft_aug.reader_study.protocol import load_protocol

    (tmp_path / "a" / "run").mkdir(parents=True)
    (tmp_path / "b" / "other").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "b")
    found = {}
    for name in ("run", "other", "nowhere"):
        (tmp_path / "a" / "s.yaml").write_text(f"{{name: s, run: {name}, readers: [A]}}")
        found[name] = load_protocol("../a/s.yaml").run
    assert [Path(str(found[name])).resolve() for name in ("run", "other")] == [
        tmp_path / "a" / "run", tmp_path / "b" / "other",
    ]  # fmt: skip
    assert Path(str(found["run"])).is_absolute() and found["nowhere"] == "nowhere"
    assert load_protocol("../a/s.yaml", Path("other")).run == str(tmp_path / "b" / "other")


def test_a_study_that_is_no_study(tmp_path: Path) -> None:
    from vrft_aug.errors import UserError
    from vrft_aug.reader_study.protocol import load_protocol, shipped_protocols

    (tmp_path / "list.yaml").write_text("- a")
    (tmp_path / "broken.yaml").write_text("a: [")
    for name, said in (("list.yaml", "a list"), ("broken.yaml", "line 2"), ("none.yaml", "no reader study")):
        with pytest.raises(UserError, match=said):
            load_protocol(str(tmp_path / name))
    for name in shipped_protocols():
        assert load_protocol(name).name == name
