"""The real CRDS: which reference and parameter files belong to an exposure, and where they are.

The ``crds`` client is configured by the user's environment (CRDS_PATH, CRDS_SERVER_URL, CRDS_CONTEXT), or by the folder
of an offline cache. It runs in a process of its own (:mod:`mirific.references.crds_process`), if there is something to
ask that it has not answered before (:mod:`mirific.references.remembered`); what goes wrong there comes as one error
of ours.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mirific.errors import ReferenceMissing, ReferencesUnavailable
from mirific.exposure import Metadata
from mirific.references.crds_process import NO_SERVER, Refused, Silent, client_process, crds_environment
from mirific.references.files import ReferenceFile, Window, window_of
from mirific.references.remembered import Answer, RememberedAnswers

__all__ = ["Crds"]

_NOT_APPLICABLE = "NOT FOUND N/A"

#: What CRDS chooses by, of one exposure.
_Facts = tuple[tuple[str, str], ...]

#: Pipelines whose parameter files may set parameters of a step, too.
_STEPS_OF = {
    "detector1": (
        "group_scale dq_init emicorr saturation ipc refpix rscd firstframe lastframe linearity dark_current reset "
        "persistence charge_migration jump clean_flicker_noise ramp_fit gain_scale"
    ),
    "image2": "bkg_subtract assign_wcs flat_field photom",
    "image3": "assign_mtwcs tweakreg skymatch outlier_detection source_catalog",
}

#: Steps whose class is not named after them.
_CLASS_OF = {"bkg_subtract": "background", "background": "background"}


class Crds:
    """References and parameters as CRDS chooses them.

    Parameters
    ----------
    context : str, optional
        The rules to choose by, such as ``jwst_1413.pmap``; else CRDS_CONTEXT, else what the server or cache says.
    path : path, optional
        A cache to use without a server, such as :func:`mirific.references.demo.build_cache` makes; else the
        environment decides.
    """

    def __init__(self, context: str | None = None, path: str | Path | None = None) -> None:
        self._given = context
        self._context: str | None = None
        self._environment: dict[str, str] | None = None
        self._path = None if path is None else Path(path).absolute()
        self._known: tuple[Metadata, _Facts] | None = None
        self._remembered: RememberedAnswers | None = None
        self._chosen: dict[_Facts, dict[str, str]] = {}
        self._expected: dict[_Facts, Callable[[], Any]] = {}
        self._opened: dict[tuple[str, Window], ReferenceFile] = {}
        self._paths: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Crds(context={self._given!r}, path={self._path and str(self._path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        own: dict[str, Any] = {"_chosen": {}, "_expected": {}, "_opened": {}, "_paths": {}}
        return {**vars(self), "_known": None, "_remembered": None, **own}

    def _answers(self) -> RememberedAnswers:
        """What the client answered before, by the rules that are in force as this is asked first."""
        if self._remembered is None:
            self._remembered = RememberedAnswers({**os.environ, **self.environment()}, self._given)
        return self._remembered

    def activate(self) -> None:
        """Point this process's environment at the given cache, for official steps, which choose by themselves.

        Raises
        ------
        InputError, ReferenceMissing
            As from :meth:`environment`.
        """
        os.environ.update(self.environment())
        if "crds" in sys.modules:
            from crds.client import api
            from crds.core import utils

            api.set_crds_server(os.environ.get("CRDS_SERVER_URL") or NO_SERVER)
            utils.clear_function_caches()

    def environment(self) -> dict[str, str]:
        """Variables that make the client use the given cache and nothing else; none where none was given.

        Raises
        ------
        InputError, ReferenceMissing
            As from :func:`mirific.references.crds_process.crds_environment`.
        """
        if self._path is None:
            return crds_environment(None, self._given)
        if self._environment is None:
            self._environment = crds_environment(self._path, self._given)
        return self._environment

    def context(self) -> str:
        """Name of the pmap in force, such as ``jwst_1413.pmap``.

        Raises
        ------
        ReferenceMissing
            If neither a cache nor a server answers, or the context is unknown.
        ReferencesUnavailable
            If no client answers; so do all that ask.
        """
        if self._context is None:
            self._context = self._answers().context or str(self._ask("the context", "context"))
        return self._context

    def expect(self, meta: Mapping[str, Any], types: tuple[str, ...], steps: tuple[str, ...]) -> None:
        """Ask for all that an exposure will want at once, and go on; who wants it first waits for the answer.

        Parameters
        ----------
        meta : mapping
            As for :meth:`open`.
        types : tuple of str
            CRDS types that may be opened.
        steps : tuple of str
            Names of steps and pipelines whose :meth:`parameters` will be wanted.

        Raises
        ------
        InputError, ReferenceMissing
            As from :meth:`environment`.
        """
        facts = self._facts(meta)
        kinds = dict.fromkeys((*types, *(kind for step in steps for kind in _parameter_kinds(step))))
        new = [kind for kind in kinds if kind not in self._choices(facts)]
        if new and facts not in self._expected:
            client = client_process(self.environment())
            with contextlib.suppress(Silent):  # who wants it asks another client
                answer = client.put("choose", given=self._given, parameters=_asked(meta), types=new)
                self._expected[facts] = answer

    def _facts(self, meta: Mapping[str, Any]) -> _Facts:
        """What CRDS may choose by; that of the last exposure is kept, as each is asked for often."""
        if not isinstance(meta, Metadata):
            return _facts(meta)
        known = self._known
        if known is None or known[0] is not meta:
            known = self._known = meta, _facts(meta)
        return known[1]

    def _collect(self, facts: _Facts) -> dict[str, str]:
        """Names of what was chosen so far for exposures with these facts; what is expected is waited for."""
        chosen = self._choices(facts)
        answer = self._expected.pop(facts, None)
        if answer is not None:
            # What is refused here is asked for again, one by one, by those who want it; of another client where this
            # one is silent.
            with contextlib.suppress(Refused, Silent):
                found = answer()
                chosen.update(found["names"])
                self._paths.update(
                    {found["names"][kind]: path for kind, path in found["paths"].items() if os.path.isfile(path)}
                )
                self._context = self._context or str(found["context"])
                self._remember(facts)
        return chosen

    def _choices(self, facts: _Facts) -> dict[str, str]:
        """Names that are known for exposures with these facts: of this run, or of earlier ones."""
        if facts not in self._chosen:
            known = self._answers().of(facts)
            self._chosen[facts] = known.names
            self._paths.update(known.paths)
        return self._chosen[facts]

    def _remember(self, facts: _Facts) -> None:
        names = self._chosen[facts]
        paths = {name: self._paths[name] for name in names.values() if name in self._paths}
        self._answers().keep(facts, Answer(names, paths))

    def open(self, meta: Mapping[str, Any], types: tuple[str, ...]) -> dict[str, ReferenceFile | None]:
        """Open the best references of these types for an exposure.

        Parameters
        ----------
        meta : mapping
            Metadata of the exposure under the names of ``stdatamodels``, without the leading ``meta.``.
        types : tuple of str
            CRDS types, such as ``("dark", "gain")``.

        Returns
        -------
        dict
            Type to opened file; None where CRDS says that the type does not apply.

        Raises
        ------
        ReferenceMissing
            If CRDS has no answer for a type, or the file cannot be had.
        """
        if not types:
            return {}
        names = self._recommended(meta, tuple(types))
        for kind, name in names.items():
            if name.upper().startswith("NOT FOUND") and name.upper() != _NOT_APPLICABLE:
                raise _no_match(kind, meta)
        wanted = {kind: name for kind, name in names.items() if name.upper() != _NOT_APPLICABLE}
        window = window_of(meta)
        paths = self._fetched(wanted, meta)
        return {kind: self._file(paths[kind], window) if kind in paths else None for kind in types}

    def parameters(self, meta: Mapping[str, Any], step: str) -> dict[str, Any]:
        """Parameters that CRDS holds for a step; those of its pipeline's file take precedence, as in ``stpipe``.

        Parameters
        ----------
        meta : mapping
            As for :meth:`open`.
        step : str
            The calwebb name of a step (``jump``) or pipeline (``detector1``).

        Raises
        ------
        ReferenceMissing
            If a file with parameters cannot be had, or is none.
        """
        values: dict[str, Any] = {}
        for kind in _parameter_kinds(step):
            tree = self._parameter_tree(meta, kind)
            if kind == f"pars-{_pipeline_of(step)}pipeline" and step not in _STEPS_OF:
                tree = next((entry for entry in tree.get("steps", []) if entry.get("name") == step), {})
            values.update(tree.get("parameters", {}))
        return values

    def _parameter_tree(self, meta: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """Contents of a parameter file; empty where CRDS has none, which is usual."""
        name = self._recommended(meta, (kind,)).get(kind, _NOT_APPLICABLE)
        if name.upper().startswith("NOT FOUND"):
            return {}
        file = self._file(self._fetched({kind: name}, meta)[kind], window_of(meta))
        tree = file.plain_tree()
        steps = tree.get("steps", [])
        entries = [tree, *steps] if isinstance(steps, list) else [None]
        if not all(isinstance(entry, dict) and isinstance(entry.get("parameters"), dict) for entry in entries):
            raise ReferenceMissing(
                "not a parameter file", where=file.path, todo="remove it and let CRDS fetch it again"
            )
        return tree

    def _file(self, path: str, window: Window) -> ReferenceFile:
        """Opened file, the same for all who ask for this window of it."""
        return self._opened.setdefault((path, window), ReferenceFile(path, window))

    def _recommended(self, meta: Mapping[str, Any], types: tuple[str, ...]) -> dict[str, str]:
        """Names of the best references; ``NOT FOUND ...`` where there is none."""
        facts = self._facts(meta)
        chosen = self._collect(facts)
        new = tuple(kind for kind in types if kind not in chosen)
        if new:
            found = self._ask(", ".join(new), "recommend", parameters=_asked(meta), types=new)
            chosen.update({kind: found.get(kind, _NOT_APPLICABLE) for kind in new})
            self._remember(facts)
        return {kind: chosen[kind] for kind in types}

    def _fetched(self, names: Mapping[str, str], meta: Mapping[str, Any]) -> dict[str, str]:
        """Paths of files in the cache; what is not there yet is fetched from the server."""
        if not names:
            return {}
        new = {kind: name for kind, name in names.items() if name not in self._paths}
        paths: dict[str, str] = self._ask(", ".join(new), "fetch", names=new) if new else {}
        for kind, path in paths.items():
            if not os.path.isfile(path):
                raise ReferenceMissing(
                    f"the {kind} reference is not in the cache and could not be fetched",
                    where=path,
                    todo="check CRDS_SERVER_URL and the network, or the references of the cache",
                )
            self._paths[new[kind]] = path
        if new:
            self._remember(self._facts(meta))
        return {kind: self._paths[name] for kind, name in names.items()}

    def _ask(self, what: str, question: str, **arguments: Any) -> Any:
        """Ask the client, and turn its refusal into an error of ours; one that is silent is replaced, but once.

        Raises
        ------
        ReferenceMissing
            If it refuses.
        ReferencesUnavailable
            If two of them are silent.
        """
        try:
            try:
                return client_process(self.environment()).ask(question, given=self._given, **arguments)
            except Silent:
                return client_process(self.environment()).ask(question, given=self._given, **arguments)
        except Refused as refusal:
            raise self._failure(what, str(refusal)) from refusal
        except Silent as silence:
            todo = "see whether it was stopped, and run it again with --resume"
            raise ReferencesUnavailable(f"{silence}; another one before it fared no better", todo=todo) from silence

    def _failure(self, what: str, reason: str) -> ReferenceMissing:
        place = self._given or os.environ.get("CRDS_CONTEXT") or os.environ.get("CRDS_PATH")
        return ReferenceMissing(
            f"CRDS cannot answer for {what}: {reason[:300]}",
            where=place,
            todo="check CRDS_CONTEXT, CRDS_PATH, CRDS_SERVER_URL and the network",
        )


def _asked(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What the client is told of an exposure."""
    return {f"meta.{key}": value for key, value in meta.items() if isinstance(value, (str, int, float, bool))}


def _facts(meta: Mapping[str, Any]) -> _Facts:
    """What CRDS may choose by: not pointing, times of day and file names."""
    selecting = ("instrument.", "exposure.", "subarray.", "observation.", "visit.")
    told = (item for item in meta.items() if item[0].startswith(selecting))
    return tuple(sorted((name, str(value)) for name, value in told if isinstance(value, (str, int, float, bool))))


def _pipeline_of(step: str) -> str | None:
    """Pipeline that a step is part of; its own name for a pipeline."""
    return next((name for name, steps in _STEPS_OF.items() if step == name or step in steps.split()), None)


def _parameter_kinds(step: str) -> tuple[str, ...]:
    """CRDS types of the files with parameters of a step or pipeline, those that take precedence last."""
    if not step.replace("_", "").isalnum():
        return ()
    pipeline = _pipeline_of(step)
    of_pipeline = () if pipeline is None else (f"pars-{pipeline}pipeline",)
    return (
        of_pipeline if step in _STEPS_OF else (f"pars-{_CLASS_OF.get(step, step).replace('_', '')}step", *of_pipeline)
    )


def _no_match(kind: str, meta: Mapping[str, Any]) -> ReferenceMissing:
    """Say for which exposure CRDS has nothing."""
    names = {
        "FILTER": "instrument.filter",
        "READPATT": "exposure.readpatt",
        "SUBARRAY": "subarray.name",
        "EXP_TYPE": "exposure.type",
        "DATE-OBS": "observation.date",
    }
    facts = ", ".join(f"{keyword} {meta.get(name, 'missing')}" for keyword, name in names.items())
    return ReferenceMissing(
        f"CRDS has no {kind} reference for {facts}",
        where=meta.get("filename"),
        todo="check the exposure's header, or choose another CRDS_CONTEXT or cache",
    )
