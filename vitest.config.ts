import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Processes are spawned for real; on a small machine too many at once only get in each other's way.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A proxy or key of whoever runs the tests must not reach them.
    unstubEnvs: true,
  },
});
