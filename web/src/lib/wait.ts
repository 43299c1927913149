// Waiting that can be called off, and pure back-off.

/** Resolves after `ms`, or at once when `signal` is aborted. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

/**
 * How long to wait before try number `attempt` (from 0), in milliseconds: doubling from `first` up to
 * `most`, the upper half of it random (`random` in 0..1), so that many pages do not come back at once.
 */
export function backOff(attempt: number, first: number, most: number, random: number): number {
  const full = Math.min(most, first * 2 ** Math.min(attempt, 16));
  return Math.round(full / 2 + (full / 2) * random);
}
