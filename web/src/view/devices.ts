// Why a camera or microphone does not work, and what to do about it. Pure.

import type { Failure } from '../session/preview';

/** What happened and how to put it right. */
export function failureText(name: 'camera' | 'microphone' | 'camera and microphone', why: Failure): string {
  switch (why) {
    case 'denied':
      return `The browser does not let this page use the ${name}. Press the symbol beside the address, allow it, and switch it on here.`;
    case 'none':
      return `No ${name} was found. Connect one and switch it on here, or go on without it.`;
    case 'busy':
      return `Another program is using the ${name}. Close it there and switch it on here.`;
    case 'insecure':
      return `Browsers offer the ${name} only on HTTPS or localhost. Open this page with https:// (a reverse proxy with a certificate does it), or on the server’s own machine. Watching works here, too.`;
    case 'failed':
      return `The ${name} could not be started. Unplug it and plug it in again, or choose another one.`;
  }
}
