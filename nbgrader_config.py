"""nbgrader's own commands on this course: its folders, our stub, our engine in place of running notebooks."""

from pathlib import Path

from autograder.stamps import forgive_bad_timestamps

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (nbgrader provides it)

c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.course_id = "resilience"
c.CourseDirectory.source_directory = "build/source"
c.CourseDirectory.release_directory = "notebooks"

# Valid at any indentation, in an expression's place or a body's; running it does nothing, and earns nothing.
c.ClearSolutions.code_stub = {"python": "...  # your code here"}

c.Autograde.exporter_class = "autograder.gradebook.SubmissionExporter"
c.Autograde.sanitize_preprocessors = [
    "autograder.gradebook.Sanitise",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "autograder.gradebook.GradeAnswers",  # in place of nbgrader.preprocessors.Execute
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "autograder.gradebook.SaveScores",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
# Our page, the one that `autograder grade` writes; always anew, so that it has what was entered in formgrader since.
c.GenerateFeedback.exporter_class = "autograder.gradebook.FeedbackExporter"
c.GenerateFeedback.preprocessors = []
c.GenerateFeedback.force = True

c.Execute.kernel_manager_class = "autograder.validation.OwnKernelManager"  # validate runs no submission

# Regular files only, links never followed; what can't be released is named, and the others are.
c.ExchangeFactory.collect = "autograder.exchange.Collect"
c.ExchangeFactory.release_feedback = "autograder.exchange.ReleaseFeedback"
c.ExchangeFactory.list = "autograder.exchange.List"

# nbgrader ends for the whole class when one submission's timestamp.txt can't be read.
forgive_bad_timestamps()
