// How large the camera's picture is, and how rooms are opened.

import { type RoomOptions, setLogLevel, type VideoResolution } from 'livekit-client';
import { recall } from '../lib/storage';

/** Height of the picture, in lines. */
export type CameraSize = 360 | 720 | 1080;

/** The sizes offered. */
export const CAMERA_SIZES: readonly CameraSize[] = [360, 720, 1080];

/** What is asked of the camera. */
export function captureSize(size: CameraSize): VideoResolution {
  return { width: Math.round((size * 16) / 9), height: size, frameRate: size === 360 ? 20 : 30 };
}

/**
 * What goes wrong is said on the page; LiveKit's own words are for whoever looks for a fault:
 * `localStorage.setItem('livestream.debug', 'true')`.
 */
export function quietLiveKit(): void {
  setLogLevel(recall<boolean>('local', 'debug') === true ? 'debug' : 'silent');
}

/** How rooms are opened. Local tracks outlive a lost connection, because they are published again after it. */
export const ROOM_OPTIONS: RoomOptions = {
  adaptiveStream: true,
  dynacast: true,
  stopLocalTrackOnUnpublish: false,
  // The page says goodbye itself: LiveKit's way cannot be told from somebody who leaves.
  disconnectOnPageLeave: false,
};
