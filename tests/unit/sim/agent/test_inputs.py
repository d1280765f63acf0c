"""Where a value comes from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.agent.files.bin.simagent.errors import InputError
from sim.agent.files.bin.simagent.inputs import FLAGS, NAMES, SECRETS, Inputs, shown


def nobody(question: str, secret: bool) -> str:
    raise AssertionError(f"asked: {question}")


def test_inputs_leave_the_environment() -> None:
    environ = {"VSTS_AGENT_INPUT_URL": "https://a.b", "vsts_agent_input_pool": "P", "OTHER": "stays"}
    inputs = Inputs([], environ, nobody)
    assert environ == {"OTHER": "stays"}
    assert (inputs.given("url"), inputs.given("pool")) == ("https://a.b", "P")


@pytest.mark.parametrize("arguments", [["--pool", "p"], ["--POOL", "p"], ["--Pool=p"]])
def test_argument_wins(arguments: list[str]) -> None:
    assert Inputs(arguments, {"VSTS_AGENT_INPUT_POOL": "other"}, nobody).given("pool") == "p"


def test_missing_value_is_named_when_nobody_can_be_asked() -> None:
    with pytest.raises(InputError, match=r"^Invalid configuration provided for url\. Terminating unattended configuration\.$"):
        Inputs(["--unattended"], {}, nobody).value("url", "server URL")


def test_value_that_cannot_be_is_not_replaced_by_the_default() -> None:
    with pytest.raises(InputError):
        Inputs(["--unattended", "--auth", "x"], {}, nobody).value("auth", "", default="pat", valid=lambda text: text == "pat")


def test_questions_are_repeated_until_an_answer_can_be() -> None:
    answers = ["", "nonsense", "pat"]
    inputs = Inputs([], {}, lambda question, secret: answers.pop(0))
    assert inputs.value("auth", "authentication type", valid=lambda text: text == "pat") == "pat"
    assert answers == []


def test_answer_to_a_secret_question_is_kept_out_of_sight() -> None:
    inputs = Inputs([], {}, lambda question, secret: "hunter22" if secret else "")
    assert inputs.value("token", "personal access token") == "hunter22"
    assert inputs.secrets == ["hunter22"]


def test_name_without_a_value_does_not_eat_the_next_name() -> None:
    inputs = Inputs(["--pool", "--unattended"], {}, nobody)
    assert inputs.given("pool") == ""
    assert inputs.flag("unattended")


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("form", ["two", "one"])
def test_secret_is_blanked_in_the_log(name: str, form: str) -> None:
    arguments = [f"--{name}", "hunter22"] if form == "two" else [f"--{name}=hunter22"]
    assert "hunter22" not in shown(["configure", *arguments, "--pool", "p"])
    assert shown(["--pool", "p"]) == "--pool p"


@given(st.lists(st.text(max_size=8) | st.sampled_from([f"--{name}" for name in sorted(NAMES | FLAGS)]), max_size=12))
def test_any_arguments_are_taken(arguments: list[str]) -> None:
    inputs = Inputs(arguments, {}, nobody)
    assert set(inputs.unknown) <= set(arguments)
