// Whether nobody has moved for a while: in full screen the bars step back then.

import { type RefObject, useEffect, useState } from 'react';

const IDLE_MS = 3_000;

/** `true` while the element is full screen and neither pointer nor keyboard were used for three seconds. */
export function useIdle(element: RefObject<HTMLElement | null>): boolean {
  const [idle, setIdle] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const rest = () =>
      setIdle(document.fullscreenElement === element.current && document.fullscreenElement !== null);
    const stir = () => {
      setIdle(false);
      clearTimeout(timer);
      timer = setTimeout(rest, IDLE_MS);
    };
    const events = ['pointermove', 'pointerdown', 'keydown', 'fullscreenchange'];
    for (const event of events) document.addEventListener(event, stir);
    return () => {
      clearTimeout(timer);
      for (const event of events) document.removeEventListener(event, stir);
    };
  }, [element]);
  return idle;
}
