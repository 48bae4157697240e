"""Conversations as texts: against the template that a public chat model ships with."""

import pytest

from hartley.core.errors import UsageError
from hartley.kit.language.chat_template import ChatTemplate, asked

CHATML = ChatTemplate(
    system_open="<|im_start|>system\n",
    system_close="<|im_end|>\n",
    user_open="<|im_start|>user\n",
    user_close="<|im_end|>\n",
    answer_open="<|im_start|>assistant\n",
    answer_close="<|im_end|>\n",
)

JINJA = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML, as tokenizer_config.json of public models has it."""

CONVERSATION = [
    *asked("What is kept?", "Be brief."),
    {"role": "assistant", "content": "A lamp."},
    {"role": "user", "content": "And where?"},
]


@pytest.mark.parametrize("length", [2, 4])
def test_what_is_rendered_is_what_the_public_template_renders(length):
    jinja2 = pytest.importorskip("jinja2")
    public = jinja2.Template(JINJA)
    messages = CONVERSATION[:length]
    opened = public.render(messages=messages, add_generation_prompt=True)
    assert CHATML.render(messages) == opened
    assert CHATML.render(messages, "It is") == opened + "It is"
    assert CHATML.closed(messages) == public.render(messages=messages)


def test_an_answer_that_comes_last_is_gone_on_with_and_one_that_ends_is_cut():
    open_answer = [*asked("Where?"), {"role": "assistant", "content": "In the"}]
    assert CHATML.render(open_answer) == CHATML.render(asked("Where?"), "In the")
    assert CHATML.answer(" hall.<|im_end|>\n<|im_start|>user\nAnd?") == " hall."
    assert CHATML.answer(" hall") == " hall"


def test_conversations_that_cannot_be_answered_are_refused():
    with pytest.raises(UsageError, match="end with a user's message"):
        CHATML.render([])
    with pytest.raises(UsageError, match="got one after an answer"):
        CHATML.render([*asked("Where?"), {"role": "assistant", "content": "In"}], "the")
    with pytest.raises(UsageError, match="got 'tool'"):
        CHATML.closed([{"role": "tool", "content": ""}])
    with pytest.raises(UsageError, match="answer_close"):
        ChatTemplate("", "", "", "")
