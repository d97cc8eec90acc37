"""Pictures with names in any script: drawn without a warning, which a test would raise."""

import io

import pytest
from matplotlib.figure import Figure

from tasks.drawing import save


@pytest.mark.parametrize("name", ["학생", "学生", "ছাত্র", "\U00049f76"])
@pytest.mark.parametrize("form", ["svg", "png"])
def test_letters_that_the_font_lacks_are_drawn_without_a_word(name: str, form: str) -> None:
    figure = Figure()
    figure.subplots().set_title(name)
    file = io.BytesIO()
    save(figure, file, format=form)
    assert file.getvalue()
