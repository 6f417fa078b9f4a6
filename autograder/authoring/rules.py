"""The rules that every section of the course keeps to, as `autograder build` and `build --check` hold them."""

from autograder.authoring import problems
from autograder.authoring.liars import overpaid_liars
from autograder.authoring.naming import count_names, misnamed
from autograder.authoring.rule import Rules
from autograder.authoring.trials import mistaken_answers, playable, right_answers

RULES = Rules(
    folder=(problems.incomplete, problems.misworded, problems.mispriced),
    text=(problems.long_cells, problems.unexplained),
    solution=(playable, mistaken_answers),
    answers=(right_answers, overpaid_liars),
    counts=(count_names,),
    bounds=(misnamed,),
)
