/**
 * What went wrong with a request, in the server's words (RFC 9457): detail, hint, request id.
 * Thrown by everything in `api`; shown by `shell/ProblemAlert`.
 */
export type FieldError = { field: string; message: string };

type ProblemFields = {
  status: number;
  code: string;
  title: string;
  detail: string;
  hint?: string;
  requestId?: string;
  errors?: FieldError[];
  document?: object;
};

export const UNREACHABLE = "unreachable";

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly hint: string;
  readonly requestId: string;
  readonly errors: readonly FieldError[];
  /** The whole answer, where it was one; some say more than what went wrong. */
  readonly document: object | null;

  constructor(fields: ProblemFields) {
    super(fields.detail || fields.title);
    this.name = "Problem";
    this.status = fields.status;
    this.code = fields.code;
    this.title = fields.title;
    this.detail = fields.detail;
    this.hint = fields.hint ?? "";
    this.requestId = fields.requestId ?? "";
    this.errors = fields.errors ?? [];
    this.document = fields.document ?? null;
  }

  /** The message that stands at a form's field: `repository.source` also answers for `repository`. */
  at(field: string): string | undefined {
    return this.errors.find((error) => error.field === field || error.field.startsWith(`${field}.`))
      ?.message;
  }

  /** True when no server answered: the same request may succeed later. */
  get unreachable(): boolean {
    return this.code === UNREACHABLE;
  }
}

/** The problem a failed answer carries; anything that is not a problem document still becomes one. */
export function problemFrom(body: unknown, response: Response): Problem {
  const document = isRecord(body) ? body : {};
  return new Problem({
    status: response.status,
    code: text(document.type).split(":").at(-1) || `http-${response.status}`,
    title: text(document.title) || response.statusText || `HTTP ${response.status}`,
    detail: text(document.detail),
    hint: text(document.hint),
    requestId: text(document.request_id) || response.headers.get("X-Request-Id") || "",
    errors: Array.isArray(document.errors) ? document.errors.filter(isFieldError) : [],
    document,
  });
}

/** The problem of a request that never got an answer. */
export function unreachable(cause: unknown): Problem {
  const problem = new Problem({ status: 0, code: UNREACHABLE, title: "", detail: "" });
  problem.cause = cause;
  return problem;
}

/** Whatever was thrown, as a problem. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new Problem({ status: 0, code: "console", title: message, detail: message });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isFieldError(value: unknown): value is FieldError {
  return isRecord(value) && typeof value.field === "string" && typeof value.message === "string";
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
