import { defineConfig } from "vitest/config";
import type { Reporter, TestModule } from "vitest/node";

/** Closes a run with one plain line that people and machines read alike. */
const summary: Reporter = {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]) {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
    const count = (state: string) => states.filter((each) => each === state).length;
    // A file that could not be loaded, or an error outside of every test, is a failure too.
    const broken = modules.filter((module) => module.state() === "failed" && module.errors().length > 0).length + errors.length;
    console.log(`\n${count("passed")} passed, ${count("failed") + broken} failed, ${count("skipped")} skipped`);
  },
};

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    reporters: ["default", summary],
    // Processes are spawned for real, and too many at once only get in each other's way; but many tests wait.
    maxWorkers: 3,
    // Longer than anything in a test waits, so that what fails first says what it has waited for.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The default of a second is short on a busy machine; only a test that fails takes this long.
    expect: { poll: { timeout: 20_000 } },
  },
});
