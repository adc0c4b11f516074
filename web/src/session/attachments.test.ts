import { describe, expect, it } from "vitest";
import { bodiesOf, MOST_OF_A_MESSAGE, pick } from "./attachments";

const file = (name: string, type: string, bytes = [1, 2, 3]) =>
  new File([new Uint8Array(bytes)], name, { type });

describe("files for a message", () => {
  it("are taken when they are pictures or PDFs", () => {
    const files = [file("a.png", "image/png"), file("b.pdf", "application/pdf")];
    const svg = file("c.svg", "image/svg+xml");

    const { picked, refused } = pick([], [...files, svg]);

    expect(picked.map((one) => one.name)).toEqual(["a.png", "b.pdf"]);
    expect(refused).toEqual([svg]);
  });

  it("are no more than a message has", () => {
    const many = Array.from({ length: 25 }, (_, at) => file(`${at}.png`, "image/png"));

    const { picked, refused } = pick([], many);

    expect(picked).toHaveLength(MOST_OF_A_MESSAGE);
    expect(refused).toHaveLength(5);
  });

  it("go in base64, however large", async () => {
    const bytes = Array.from({ length: 100_000 }, (_, at) => at % 256);

    const [body] = await bodiesOf(pick([], [file("a.png", "image/png", bytes)]).picked);

    expect(body).toMatchObject({ name: "a.png", media_type: "image/png" });
    expect([...Buffer.from(body?.data ?? "", "base64")]).toEqual(bytes);
  });
});
