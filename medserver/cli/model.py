"""Levels and information models of queries and retrieves, as options of the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import click
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from medserver.cli.keys import key_option, parse_keys
from medserver.dicom import uids
from medserver.dicom.attributes import LEVELS, UNIQUE_KEYS
from medserver.dicom.frame_lists import FrameKeys
from medserver.dicom.non_patient import NON_PATIENT_MODELS
from medserver.errors import BadUsage
from medserver.scu.query import RELATIONAL


@dataclass(frozen=True)
class Model:
    """One Query/Retrieve information model (PS3.4 C.3, or the clause of `NonPatientModel`).

    Parameters
    ----------
    name : str
        Its name in ``--model``.
    levels : tuple of str
        The levels that it has.
    find, move, get : str
        Its SOP classes.
    storage_sop_classes : tuple of str
        Whose instances it is about, if those belong to no patient: then it has one level, which is not named. Empty for
        the models of patients and studies.
    """

    name: str
    levels: tuple[str, ...]
    find: str
    move: str
    get: str
    storage_sop_classes: tuple[str, ...] = ()


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.name: model
        for model in (
            Model("patient", LEVELS, uids.PATIENT_ROOT_FIND, uids.PATIENT_ROOT_MOVE, uids.PATIENT_ROOT_GET),
            Model("study", LEVELS[1:], uids.STUDY_ROOT_FIND, uids.STUDY_ROOT_MOVE, uids.STUDY_ROOT_GET),
            Model(
                "patient-study",
                LEVELS[:2],
                uids.PATIENT_STUDY_ONLY_FIND,
                uids.PATIENT_STUDY_ONLY_MOVE,
                uids.PATIENT_STUDY_ONLY_GET,
            ),
            *(
                Model(
                    one.name.lower().replace(" ", "-"), ("IMAGE",), one.find, one.move, one.get, tuple(one.storage)
                )
                for one in NON_PATIENT_MODELS
            ),
        )
    }
)


COMPOSITE_INSTANCE_ROOT = Model(
    "composite",
    ("IMAGE", "FRAME"),
    "",
    uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE,
    uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET,
)
"""The model of frames (PS3.4 Y.3.1), which cannot be queried."""


@dataclass(frozen=True)
class Target:
    """What a query or a retrieve is about.

    Parameters
    ----------
    model : Model
        The information model.
    level : str
        One of its levels.
    identifier : Dataset
        The keys, with Query/Retrieve Level.
    tags : tuple of BaseTag
        The attributes that the command line named, in its order.
    only_matching : bool
        Whether each of them has a value.
    relational : bool
        Whether unique keys of higher levels may be left out (PS3.4 C.4.1.2.2.2, C.4.2.2.2).
    """

    model: Model
    level: str
    identifier: Dataset
    tags: tuple[BaseTag, ...]
    only_matching: bool
    relational: bool

    def extended(self, sop_class_uid: str) -> dict[str, bytes]:
        """Return the extended negotiation to propose (PS3.4 C.5.1.1)."""
        return {sop_class_uid: RELATIONAL} if self.relational else {}

    def check_unique_key(self) -> None:
        """Raise BadUsage if it is not said what is to be retrieved (PS3.4 C.4.2.1.4.1)."""
        keyword = UNIQUE_KEYS[self.level]
        if not self.identifier.get(keyword):
            raise BadUsage(f"what is to be retrieved? Give -k {keyword}=VALUE, or another --level")

    def of_frames(self, frames: FrameKeys) -> Target:
        """Return some frames of the image as what is to be retrieved (PS3.4 Y.4.1.1.3.1).

        Raises
        ------
        BadUsage
            It is not one image.
        """
        uid = self.identifier.get(UNIQUE_KEYS["IMAGE"])
        if self.level != "IMAGE" or self.model.storage_sop_classes or not uid or not isinstance(uid, str):
            raise BadUsage("frames of which image? Give -k SOPInstanceUID=UID with --frames")
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "FRAME"
        identifier.SOPInstanceUID = uid
        setattr(identifier, frames.keyword, list(frames.values))
        return replace(self, model=COMPOSITE_INSTANCE_ROOT, identifier=identifier, relational=False)


def target_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--level``, ``--model``, ``--relational`` and ``-k``; it receives a `Target` as `target`."""

    @click.option(
        "--level",
        type=click.Choice([level.lower() for level in LEVELS], case_sensitive=False),
        show_default="that of the deepest UID with a value, else study",
        help="The level of the model.",
    )
    @click.option(
        "--model",
        "model_name",
        type=click.Choice(list(MODELS), case_sensitive=False),
        show_default="study; patient at its level",
        help="The information model; those of protocols, palettes and templates have one level.",
    )
    @click.option(
        "--relational", is_flag=True, help="Leave unique keys of higher levels out, if PEER agrees."
    )
    @key_option
    @functools.wraps(function)
    def command(
        *arguments: Any,
        level: str | None,
        model_name: str | None,
        relational: bool,
        keys: tuple[str, ...],
        **options: Any,
    ) -> Any:
        return function(*arguments, target=make_target(level, model_name, relational, keys), **options)

    return command


def make_target(level: str | None, model_name: str | None, relational: bool, keys: tuple[str, ...]) -> Target:
    """Put together what the options say.

    Raises
    ------
    BadUsage
        They do not fit together.
    """
    parsed = parse_keys(keys)
    identifier = parsed.identifier
    if model_name in MODELS and MODELS[model_name].storage_sop_classes:
        model = MODELS[model_name]
        if relational or level not in (None, "image") or "QueryRetrieveLevel" in identifier:
            raise BadUsage(f"the model {model.name} has a single level, which is not named")
        return Target(model, "IMAGE", identifier, parsed.tags, parsed.only_matching, relational)
    level = _level(level, identifier)
    model = MODELS[model_name or ("patient" if level == "PATIENT" else "study")]
    if level not in model.levels:
        raise BadUsage(f"the model {model.name} has no level {level.lower()}")
    identifier.QueryRetrieveLevel = level
    level_tag = Tag("QueryRetrieveLevel")
    tags = tuple(tag for tag in parsed.tags if tag != level_tag)
    return Target(model, level, identifier, tags, parsed.only_matching, relational)


def _level(level: str | None, identifier: Dataset) -> str:
    """Return the level that is asked for: by the option, by the key as DCMTK users write it, or by a unique key."""
    chosen = level.upper() if level else None
    by_key = str(identifier.get("QueryRetrieveLevel") or "").upper() or None
    if by_key is not None and by_key not in LEVELS:
        raise BadUsage(f"QueryRetrieveLevel is one of {', '.join(LEVELS)}")
    if chosen and by_key and chosen != by_key:
        raise BadUsage(f"--level {level} and the key QueryRetrieveLevel={by_key} contradict each other")
    deepest = next((one for one in reversed(LEVELS[1:]) if identifier.get(UNIQUE_KEYS[one])), "STUDY")
    return chosen or by_key or deepest
