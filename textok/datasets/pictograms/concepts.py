"""What an image shows, apart from its style, skin tone and gender: its concept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from textok.datasets.pictograms.twins import Pair

TONES = frozenset({"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"})
GENDER_SIGNS = frozenset({"2640", "2642"})
PERSON, CHILD = "1f9d1", "1f9d2"
NEUTRAL = {"1f468": PERSON, "1f469": PERSON, "1f466": CHILD, "1f467": CHILD}
JOINER, RIGHT_ARROW = "200d", "27a1"

VARIANT_WORDS = re.compile(r"(medium[- ])?(light|dark|medium)[- ]skin[- ]tone|facing[- ]right")
NEUTRAL_WORDS = re.compile(
    r"(man|woman|person|men|women|people|boys?|girls?|child|children|adult|and)$"
)


def concept_code(code: str) -> str:
    """Return code points without tone, gender sign and joiner; "man"/"woman" in a sequence become
    "person", "boy"/"girl" "child", and the arrow of "facing right" is dropped."""
    parts = [p for p in code.split("-") if p not in TONES | GENDER_SIGNS]
    joined = JOINER in parts
    parts = [p for p in parts if p != JOINER and not (joined and p == RIGHT_ARROW)]
    if len(parts) > 1:
        parts = [NEUTRAL.get(p, p) for p in parts]
    return "-".join(parts) or code


def concept_label(label: str) -> str:
    """Normalise a label: lower case, words only, no tone and gender unless nothing else is left."""
    text = VARIANT_WORDS.sub(" ", label.lower().replace("'", "").replace("’", ""))
    words = re.findall(r"\w+", text) or re.findall(r"\S+", label.lower())
    return " ".join([word for word in words if not NEUTRAL_WORDS.match(word)] or words)


def join_by_name(codes_and_labels: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return the concept of every image: one per concept code, and per normalised label.

    Args:
        codes_and_labels: by image key, its code points ("" if unknown) and its label.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    nodes: dict[str, str] = {}
    for key, (code, label) in sorted(codes_and_labels.items()):
        name = f"name:{concept_label(label)}"
        nodes[key] = concept_code(code) if code else name
        a, b = root(nodes[key]), root(name)
        # A code outranks a name, then the smaller one: the concept is called by its code.
        first, second = sorted((a, b), key=lambda node: (node.startswith("name:"), node))
        parent[second] = first
    return {key: root(node) for key, node in nodes.items()}


def merge_lookalikes(concepts: Mapping[str, str], pairs: Iterable[Pair]) -> dict[str, str]:
    """Merge concepts whose drawings are near-identical, such as flags of dependent territories.

    A concept joins the nearest earlier one that stands for itself, and is compared with that one's
    own drawings only: chains of small steps would end in groups of hundreds.

    Args:
        concepts: concept by image key.
        pairs: images that look alike.
    """
    distances: dict[str, dict[str, float]] = {}
    for pair in pairs:
        first, second = sorted((concepts[pair.first], concepts[pair.second]))
        if first != second:
            near = distances.setdefault(second, {})
            near[first] = min(near.get(first, pair.distance), pair.distance)
    leader: dict[str, str] = {}
    for concept in sorted(set(concepts.values())):
        near = {
            other: distance
            for other, distance in distances.get(concept, {}).items()
            if leader[other] == other
        }
        leader[concept] = min(near, key=lambda o: (near[o], o)) if near else concept
    return {key: leader[concept] for key, concept in concepts.items()}


def variant_rank(code: str) -> tuple[int, int, bool, int, str]:
    """Order the variants of a concept: without tone first, then without gender, then shortest."""
    parts = code.split("-")
    return (
        sum(part in TONES for part in parts),
        sum(part in GENDER_SIGNS for part in parts),
        any(part in NEUTRAL for part in parts),
        len(parts),
        code,
    )
