"""What the lines of a unified diff mean."""

from longhouse.cli.diffs import Kind, counts, lines, without_headers

DIFF = """\
--- a/notes.sql
+++ b/notes.sql
@@ -1,3 +1,4 @@
 SELECT 1
--- a comment
+-- another comment
+++ counted
 SELECT 2
\\ No newline at end of file
"""


def test_lines_that_look_like_headers_are_counted_inside_a_hunk() -> None:
    assert counts(DIFF) == (2, 1)


def test_each_line_has_its_kind() -> None:
    kinds = [line.kind for line in lines(DIFF)]

    assert kinds == [
        Kind.HEADER,
        Kind.HEADER,
        Kind.HUNK,
        Kind.CONTEXT,
        Kind.REMOVED,
        Kind.ADDED,
        Kind.ADDED,
        Kind.CONTEXT,
        Kind.CONTEXT,
    ]


def test_a_hunk_without_counts_has_one_line_of_each_side() -> None:
    assert counts("@@ -1 +1 @@\n-a\n+b\n") == (1, 1)


def test_a_second_file_after_a_hunk_has_headers_again() -> None:
    two = DIFF + "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+new\n"

    assert counts(two) == (3, 1)
    assert [line.text for line in without_headers(two)][-1] == "+new"


def test_nothing_has_no_lines() -> None:
    assert counts("") == (0, 0)
