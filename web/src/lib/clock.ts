// The server's time, as well as this page knows it, and a shared tick.
// A wrong clock on the viewer's side must not show negative running times.

import { useEffect, useState } from 'react';

/** Smaller differences are the resolution of the `Date` header, not a wrong clock. */
const TOLERATED_MS = 2_000;

let offset = 0;

/** The server's time now, in milliseconds since 1970. */
export function serverNow(): number {
  return Date.now() + offset;
}

/** Takes the `Date` header of an answer as the server's time. */
export function noteServerDate(header: string | null): void {
  if (header === null) return;
  const told = Date.parse(header);
  if (Number.isNaN(told)) return;
  const difference = told - Date.now();
  offset = Math.abs(difference) > TOLERATED_MS ? difference : 0;
}

/** The server's time, re-rendering every `everyMs`. `0` never ticks. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    if (everyMs === 0) return;
    setNow(serverNow());
    const timer = setInterval(() => setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
