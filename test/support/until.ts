/** Longest wait for a condition; only a test that fails takes this long. */
const PATIENCE_MS = 30_000;

/** Looks again and again until `find` finds something. */
export async function until<T>(find: () => T | Promise<T>, what: string, patienceMs = PATIENCE_MS): Promise<NonNullable<T>> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await find();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
