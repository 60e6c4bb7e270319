"""The public verbs: each takes a configuration apart, hands every room the records it needs, and returns a summary."""

from terrazzo.phases.demo import demo
from terrazzo.phases.evaluate import evaluate
from terrazzo.phases.init import InitSummary, init
from terrazzo.phases.plan import PlanSummary, plan_maps
from terrazzo.phases.predict import predict
from terrazzo.phases.prepare import prepare
from terrazzo.phases.profile import ProfileSummary, profile
from terrazzo.phases.run import run
from terrazzo.phases.summary import (
    DemoSummary,
    EvaluateSummary,
    PredictSummary,
    PrepareSummary,
    RunSummary,
    Summary,
    TrainingSummary,
)
from terrazzo.phases.train import train
from terrazzo.phases.verify import VerifySummary, verify

__all__ = [
    "DemoSummary",
    "EvaluateSummary",
    "InitSummary",
    "PlanSummary",
    "PredictSummary",
    "PrepareSummary",
    "ProfileSummary",
    "RunSummary",
    "Summary",
    "TrainingSummary",
    "VerifySummary",
    "demo",
    "evaluate",
    "init",
    "plan_maps",
    "predict",
    "prepare",
    "profile",
    "run",
    "train",
    "verify",
]
