// How large the camera's picture is, and what the room does with it. Pure.

import type { RoomOptions, VideoResolution } from 'livekit-client';

/** Height of the picture, in lines. */
export type CameraSize = 360 | 720 | 1080;

/** The sizes offered. */
export const CAMERA_SIZES: readonly CameraSize[] = [360, 720, 1080];

/** What is asked of the camera. */
export function captureSize(size: CameraSize): VideoResolution {
  return { width: Math.round((size * 16) / 9), height: size, frameRate: size === 360 ? 20 : 30 };
}

/** How rooms are opened. Local tracks outlive a lost connection, because they are published again after it. */
export const ROOM_OPTIONS: RoomOptions = {
  adaptiveStream: true,
  dynacast: true,
  stopLocalTrackOnUnpublish: false,
  disconnectOnPageLeave: true,
};
