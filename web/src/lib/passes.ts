// What lets this browser into single streams: the host key of those it opened or was
// made a host of, and invites. They come in the fragment of a link, which is sent to
// no server, and are kept for all tabs.

import { keep, recall } from './storage';

/** What a stream's link may bring. */
export type Pass = 'hostKey' | 'invite';

const PASSES: Pass[] = ['hostKey', 'invite'];

/** The pass of a stream, `null` without one. */
export function recallPass(pass: Pass, streamId: string): string | null {
  return recall<string>('local', `${pass}:${streamId}`);
}

/** Remembers a pass. */
export function keepPass(pass: Pass, streamId: string, secret: string): void {
  keep('local', `${pass}:${streamId}`, secret);
}

/** The passes in a fragment (`#invite=…`). Pure. */
export function passesIn(fragment: string): [Pass, string][] {
  const found = new URLSearchParams(fragment.replace(/^#/, ''));
  return PASSES.flatMap((pass): [Pass, string][] => {
    const secret = found.get(pass);
    return secret === null || secret === '' ? [] : [[pass, secret]];
  });
}

/** A link to the page that is open already changes only its fragment: with what it brings the page begins anew. */
export function followPasses(): void {
  window.addEventListener('hashchange', () => {
    if (passesIn(window.location.hash).length > 0) window.location.reload();
  });
}

/** Keeps what the page's link brought and takes it out of the address; which passes there were. */
export function takePasses(streamId: string): Pass[] {
  const passes = passesIn(window.location.hash);
  for (const [pass, secret] of passes) keepPass(pass, streamId, secret);
  if (passes.length > 0) {
    const { pathname, search } = window.location;
    window.history.replaceState(window.history.state, '', pathname + search);
  }
  return passes.map(([pass]) => pass);
}
