/** What the mock's agent says and does: one turn in the sample repository, with one approval. */

export const CALCULATOR_DIFF = `diff --git a/calculator.py b/calculator.py
--- a/calculator.py
+++ b/calculator.py
@@ -1,8 +1,10 @@
 """A calculator with one mistake in it."""
 
 
 def divide(dividend: float, divisor: float) -> float:
-    return dividend // divisor
+    if divisor == 0:
+        raise ZeroDivisionError("the divisor is zero")
+    return dividend / divisor
 
 
 def add(a: float, b: float) -> float:
`;

export const EDIT = {
  path: "calculator.py",
  old: "    return dividend // divisor",
  new: '    if divisor == 0:\n        raise ZeroDivisionError("the divisor is zero")\n    return dividend / divisor',
};

export const DOCS_DIFF = `diff --git a/docs/division.md b/docs/division.md
new file mode 100644
--- /dev/null
+++ b/docs/division.md
@@ -0,0 +1,2 @@
+# Division
+True division everywhere; a divisor of zero raises.
`;

export const FAILING = `============================= test session starts ==============================
collected 4 items

test_calculator.py ..F.                                                  [100%]

=================================== FAILURES ===================================
_________________________ test_divide_keeps_fractions __________________________

    def test_divide_keeps_fractions():
>       assert divide(7, 2) == 3.5
E       assert 3 == 3.5
E        +  where 3 = divide(7, 2)

test_calculator.py:14: AssertionError
=========================== short test summary info ============================
FAILED test_calculator.py::test_divide_keeps_fractions - assert 3 == 3.5
========================= 1 failed, 3 passed in 0.05s ==========================
[exit code 1]`;

export const PASSING = `============================= test session starts ==============================
collected 4 items

test_calculator.py ....                                                  [100%]

============================== 4 passed in 0.03s ===============================
[exit code 0]`;

export const SOURCE = `"""A calculator with one mistake in it."""


def divide(dividend: float, divisor: float) -> float:
    return dividend // divisor


def add(a: float, b: float) -> float:
    return a + b
`;

export const THOUGHT =
  "The user wants the failing test to pass. I should first look at what is in the repository, run the tests to see which one fails, and then make the smallest change that fixes it. Floor division is the likely suspect.";

export const PLAN =
  "I'll start with the test run, to see **what fails**, then look at the code behind it.";

export const FINDING =
  "The mistake is in `divide`: it uses floor division (`//`), so `divide(7, 2)` gives `3` and not `3.5`.\n\nI'll change it to true division, and say clearly what happens on zero:";

export const SUMMARY = `The failing test passes now. What I changed:

| File | Change |
| --- | --- |
| \`calculator.py\` | true division instead of floor division |

1. \`divide(7, 2)\` returns \`3.5\`.
2. A divisor of zero raises a \`ZeroDivisionError\` with a message.

\`\`\`python
def divide(dividend: float, divisor: float) -> float:
    if divisor == 0:
        raise ZeroDivisionError("the divisor is zero")
    return dividend / divisor
\`\`\`

All **4 tests** pass. The change is in the workspace; open *Changes* to download or commit it.`;

export const TODOS = [
  { id: "1", title: "Run the tests and find the failing one" },
  { id: "2", title: "Read the code behind it" },
  { id: "3", title: "Fix divide() in calculator.py" },
  { id: "4", title: "Run the tests again" },
];
