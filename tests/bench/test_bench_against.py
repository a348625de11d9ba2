"""klife of two commits beside each other: what is built, what runs it, and what the report says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import against, builds, contestants, process
from bench.__main__ import _parse
from bench.builds import Build, BuildFailed
from bench.scenarios import Case
from tests.support.bench_samples import SYNC, result, sample


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a klife that says which it is and that it is compiled, in two commits; and a cache."""
    root = tmp_path / "repository"
    (root / "klife").mkdir(parents=True)
    (root / "setup.py").write_text("open('klife/made.so', 'a').write('built ')\n")
    _commit(root, "first", "init")
    _commit(root, "second")
    monkeypatch.setattr(builds, "_ROOT", root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return root


def _commit(root: Path, said: str, *first: str, compiled: bool = True) -> None:
    (root / "klife" / "__init__.py").write_text(f"said = {said!r}\ncompiled = {compiled}\n")
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false")
    for command in (*([each, "--quiet"] for each in first), ["add", "."], [*author, "commit", "--quiet", "-m", said]):
        subprocess.run(["git", *command], cwd=root, check=True)


def left(cache: Path) -> list[str]:
    return sorted(each.name for each in (cache / "klife" / "builds").iterdir())


class TestBuilds:
    def test_a_commit_is_built_from_what_it_was_once(self, repository: Path, tmp_path: Path) -> None:
        tree = builds.of_tree()
        earlier = builds.of_commit("HEAD~1", like=tree)
        assert "second" in (tree.folder / "klife" / "__init__.py").read_text()
        assert "first" in (earlier.folder / "klife" / "__init__.py").read_text()
        assert builds.of_commit("HEAD~1", like=tree) == earlier
        # It began with what the tree's build had compiled, and was built once.
        assert (earlier.folder / "klife" / "made.so").read_text() == "built built "
        assert len(left(tmp_path / "cache")) == 2

    def test_a_source_that_is_the_same_keeps_its_time_and_one_that_is_not_is_newer(self, repository: Path) -> None:
        tree = builds.of_tree()
        earlier = builds.of_commit("HEAD~1", like=tree)
        times = [
            {name: (folder / name).stat().st_mtime_ns for name in ("setup.py", "klife/__init__.py")}
            for folder in (tree.folder, earlier.folder)
        ]
        assert times[0]["setup.py"] == times[1]["setup.py"]
        assert times[0]["klife/__init__.py"] < times[1]["klife/__init__.py"]

    def test_the_tree_is_taken_with_what_was_not_committed(self, repository: Path) -> None:
        before = builds.of_tree()
        (repository / "klife" / "new.py").write_text("")
        assert (builds.of_tree().folder / "klife" / "new.py").exists()
        assert not (before.folder / "klife" / "new.py").exists()

    def test_an_unknown_commit_is_told(self, repository: Path) -> None:
        with pytest.raises(BuildFailed, match="there is no commit 'nowhere'"):
            builds.of_commit("nowhere", like=builds.of_tree())

    def test_one_that_does_not_build_is_told_and_leaves_nothing(self, repository: Path, tmp_path: Path) -> None:
        (repository / "setup.py").write_text("raise SystemExit('no compiler here')\n")
        _commit(repository, "third", compiled=False)
        before = left(tmp_path / "cache") if (tmp_path / "cache").exists() else []
        with pytest.raises(BuildFailed, match=r"does not build with its compiled core:\n(?s:.*)no compiler here"):
            builds.of_commit("HEAD", like=Build("", repository))
        assert left(tmp_path / "cache") == before


class TestPlan:
    @pytest.mark.parametrize("other", [["--smoke"], ["--results", "earlier.json"], ["--publish"]])
    def test_what_it_does_not_go_with_is_refused(self, other: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            _parse(["--against", "HEAD", *other])
        assert "neither --smoke, --results nor --publish" in capsys.readouterr().err

    def test_each_build_stands_beside_its_other_in_its_own_folder(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(builds, "of_tree", lambda: Build("", tmp_path / "mine"))
        monkeypatch.setattr(builds, "of_commit", lambda _revision, like: Build("a1b2c3d", tmp_path / "theirs"))
        plan = against.plan("HEAD", [Case("mock", SYNC, contestants.NAMES)], 3, 1, lambda _line: None)
        kinds = ["klife", "klife-pure", "klife-linger"]
        assert [case.contestants for case in plan.cases] == [(kind, f"{kind}@a1b2c3d") for kind in kinds]
        assert plan.contestants == [name for kind in kinds for name in (kind, f"{kind}@a1b2c3d")]
        started: list[dict[str, Any]] = []

        def run(command: list[str], **how: Any) -> Any:
            started.append(how)
            return subprocess.CompletedProcess(command, 0, stdout="{}", stderr="")

        monkeypatch.setattr(process.subprocess, "run", run)
        for name in plan.contestants:
            process.ask(name, [], "", 1, plan.folders)
        assert [how["cwd"].name for how in started] == ["mine", "theirs"] * 3
        assert [how["env"]["PYTHONPATH"].split(":")[0] for how in started] == [str(how["cwd"]) for how in started]
        assert [how["env"].get("KLIFE_PURE") for how in started] == [None, None, "1", "1", None, None]


class TestReport:
    def row(self, figure: str, *samples: dict[str, Any], **fields: Any) -> list[str]:
        """The row of the compiled build."""
        whole = result(*samples, **fields)
        for entry in fields.get("failures", ()):
            whole["contestants"].setdefault(entry["contestant"], next(iter(whole["contestants"].values())))
        _, _, table = against.markdown(whole).partition(f"| {figure} ")
        return [cell.strip() for line in table.splitlines() if "| compiled " in line for cell in line.split("|")[4:-1]][:5]

    def test_a_ratio_is_of_one_round_and_the_median_counts(self) -> None:
        before = [sample("klife@a1b2c3d", count, round=number) for number, count in enumerate((100, 1000, 10))]
        now = [sample("klife", count, round=number) for number, count in enumerate((120, 1100, 20))]
        assert self.row("iterations a second", *before, *now)[2:] == ["1.200", "1.10-2.00", "best 1.100"]

    def test_processor_time_is_there_too(self) -> None:
        samples = [sample("klife@a1b2c3d", 100), sample("klife", 200)]
        assert self.row("client CPU, µs per iteration", *samples) == ["10,000.00", "5,000.00", "0.500", "0.50-0.50", "best 0.500"]

    def test_what_failed_is_said(self) -> None:
        failure = {**sample("klife@a1b2c3d", 1), "error": "a record was not delivered"}
        assert self.row("iterations a second", sample("klife", 5), failures=[failure])[:2] == ["failed", ""]
