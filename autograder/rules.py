"""The rules that every section of the course keeps to, as `autograder build` and `build --check` hold them."""

from autograder import problems
from autograder.authoring import playable, right_answers, wrong_answers
from autograder.build import Rules
from autograder.liars import believed

RULES = Rules(
    folder=(problems.incomplete, problems.misworded, problems.mispriced),
    text=(problems.long_cells, problems.unexplained),
    solution=(playable, wrong_answers),
    answers=(right_answers, believed),
)
