"""Rules for what Argo evaluates only during a run: retry rules, conditions, `{{= … }}`. `rules` runs them."""

import re
from collections.abc import Iterator

from k8s.expressions import parse_expression
from k8s.rules._walk import Manifest, spec_of, tasks, templates, texts

LAST_RETRY = {f"lastRetry.{name}" for name in ("status", "exitCode", "message", "duration")}
_INLINE = re.compile(r"\{\{=(.*?)\}\}", re.DOTALL)
_WHEN = re.compile(r"\{\{[^{}=]+\}\} (==|!=) [A-Za-z0-9_-]+")


def retry_rules(workflow: Manifest) -> Iterator[str]:
    """An expression parses and asks for what is known of the last attempt; a backoff needs a limit."""
    for template in templates(workflow):
        strategy = template.get("retryStrategy") or {}
        if "expression" in strategy:
            yield from _faults(f"{template.get('name')}.retryStrategy", strategy["expression"], LAST_RETRY)
        if strategy.get("backoff") and not strategy.get("limit"):
            yield f"{template.get('name')}.retryStrategy: a backoff without a limit is not heeded"
        if strategy.get("backoff") and not strategy["backoff"].get("duration"):
            yield f"{template.get('name')}.retryStrategy: a backoff needs a duration"


def conditions(workflow: Manifest) -> Iterator[str]:
    """A `when` compares one tag with one word."""
    for template in templates(workflow):
        for task in tasks(template):
            if "when" in task and not _WHEN.fullmatch(str(task["when"])):
                yield f"{task.get('name')}.when: {task['when']!r} compares no tag with a word"


def inline(workflow: Manifest) -> Iterator[str]:
    """What stands in `{{= }}` parses and asks for the number of the attempt, or at the end for what has failed."""
    last = spec_of(workflow).get("onExit")
    for template in templates(workflow):
        known = {"retries"} | ({"workflow.failures"} if template.get("name") == last else set())
        for text in texts(template):
            for expression in _INLINE.findall(text):
                yield from _faults(str(template.get("name")), expression, known)


def _faults(place: str, expression: str, known: set[str]) -> Iterator[str]:
    try:
        parsed = parse_expression(expression)
    except ValueError as error:
        yield f"{place}: the expression cannot be read: {error}"
        return
    for name in sorted(parsed.names - known):
        yield f"{place}: the expression asks for {name}, and there is {', '.join(sorted(known))}"


RULES = (retry_rules, conditions, inline)
