"""Names of checks and kinds are closed lists; every field says what it is."""

import pytest
from pydantic import ValidationError

from terrazzo.data.verify.settings import VerifySettings


def test_everything_is_looked_for_by_default() -> None:
    settings = VerifySettings()
    assert (settings.enable, settings.workers, settings.accept) == (True, 0, ())
    assert len(settings.checks) == 8
    assert all(field.description for field in VerifySettings.model_fields.values())


@pytest.mark.parametrize(
    "wrong", [{"checks": ["file"]}, {"accept": ["leak"]}, {"workers": -1}, {"overlap_share": 1.5}, {"shift": 3}]
)
def test_mistakes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VerifySettings.model_validate(wrong)
