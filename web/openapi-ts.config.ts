import { defineConfig } from "@hey-api/openapi-ts";

// The client is made from the server's own document and never committed.
export default defineConfig({
  input: "./openapi.json",
  output: { path: "./.client", clean: true },
  logs: { level: "silent" },
  plugins: [
    { name: "@hey-api/client-fetch", baseUrl: false, throwOnError: true },
    "@hey-api/typescript",
    "@hey-api/sdk",
  ],
});
