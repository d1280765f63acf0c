"""What of the environment becomes a capability."""

from __future__ import annotations

from pathlib import Path

from sim.agent.files.bin.simagent.capabilities import system


def test_variables_are_capabilities_unless_they_are_long_or_ignored() -> None:
    environ = {"A": "1", "LONG": "x" * 1024, "JUST": "x" * 1023, "Hidden": "x", "VSO_AGENT_IGNORE": "hidden, other"}
    found = system(environ, "/agent", "one", "4.275.0")
    assert {"A", "JUST"} <= set(found)
    assert {"LONG", "Hidden"} & set(found) == set()


def test_machine_and_agent_are_described() -> None:
    found = system({}, "/agent", "one", "4.275.0")
    assert (found["Agent.Name"], found["Agent.Version"], found["Agent.HomeDirectory"]) == ("one", "4.275.0", "/agent")


def test_tools_are_found_on_the_path_and_do_not_hide_a_variable(tmp_path: Path) -> None:
    for name in ("git", "make"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "java").write_text("")
    found = system({"PATH": f":{tmp_path}", "git": "mine"}, "/agent", "one", "4.275.0")
    assert found["make"] == f"{tmp_path}/make"
    assert found["git"] == "mine"
    assert "java" not in found
