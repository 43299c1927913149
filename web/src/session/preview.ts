// Camera and microphone before joining. What is on goes along into the room,
// so that nobody is asked twice. An edge: it talks to the browser's devices.

import {
  createLocalAudioTrack,
  createLocalVideoTrack,
  type LocalAudioTrack,
  type LocalTrack,
  type LocalVideoTrack,
  MediaDeviceFailure,
} from 'livekit-client';
import { keep, recall } from '../lib/storage';
import { createStore, type Readable } from '../lib/store';
import { type CameraSize, captureSize } from './capture';

/** Why a device does not work. */
export type Failure = 'denied' | 'none' | 'busy' | 'insecure' | 'failed';

/** One device on the page. */
export type Slot<T> =
  | { is: 'off' }
  | { is: 'starting' }
  | { is: 'on'; track: T }
  | { is: 'failed'; why: Failure };

/** Both devices, and which ones were chosen (`null`: the browser's default). */
export interface PreviewState {
  camera: Slot<LocalVideoTrack>;
  microphone: Slot<LocalAudioTrack>;
  cameraId: string | null;
  microphoneId: string | null;
  size: CameraSize;
}

/** Which of the two. */
export type Device = 'camera' | 'microphone';

type Change = Partial<PreviewState>;

/** The devices before joining. Whoever makes one calls `take` or `close`. */
export class Preview {
  readonly #store = createStore<PreviewState, Change>((state, change) => ({ ...state, ...change }), {
    camera: { is: 'off' },
    microphone: { is: 'off' },
    cameraId: recall('local', 'camera'),
    microphoneId: recall('local', 'microphone'),
    size: recall<CameraSize>('local', 'size') ?? 720,
  });
  /** Rises with every start, so that a slow device does not come on after it was switched off. */
  readonly #turn = { camera: 0, microphone: 0 };

  /** What the page shows. */
  get state(): Readable<PreviewState> {
    return this.#store;
  }

  /** Switches a device on or off. */
  async set(device: Device, on: boolean): Promise<void> {
    const turn = ++this.#turn[device];
    this.#stop(device);
    if (!on) return this.#put(device, { is: 'off' });
    if (!canCapture()) return this.#put(device, { is: 'failed', why: 'insecure' });
    this.#put(device, { is: 'starting' });
    try {
      const track = await this.#open(device);
      if (turn === this.#turn[device]) this.#put(device, { is: 'on', track });
      else track.stop();
    } catch (error) {
      if (turn === this.#turn[device]) this.#put(device, { is: 'failed', why: failureOf(error) });
    }
  }

  /** Uses another camera or microphone from now on. */
  async choose(device: Device, id: string): Promise<void> {
    keep('local', device, id);
    this.#store.dispatch(device === 'camera' ? { cameraId: id } : { microphoneId: id });
    await this.set(device, true);
  }

  /** Captures in another size from now on. */
  async resize(size: CameraSize): Promise<void> {
    keep('local', 'size', size);
    this.#store.dispatch({ size });
    if (this.#store.get().camera.is === 'on') await this.set('camera', true);
  }

  /**
   * Hands over what is on; it is the caller's to stop. What is still starting is named, so that it
   * can be switched on in the room: whoever is quick must not be silent.
   */
  take(): { tracks: LocalTrack[]; starting: Record<Device, boolean> } {
    const { camera, microphone } = this.#store.get();
    const starting = { camera: camera.is === 'starting', microphone: microphone.is === 'starting' };
    const tracks = [camera, microphone].flatMap((slot) => (slot.is === 'on' ? [slot.track] : []));
    this.#turn.camera += 1;
    this.#turn.microphone += 1;
    this.#store.dispatch({ camera: { is: 'off' }, microphone: { is: 'off' } });
    return { tracks, starting };
  }

  /** Switches everything off. */
  close(): void {
    for (const track of this.take().tracks) track.stop();
  }

  async #open(device: Device): Promise<LocalVideoTrack | LocalAudioTrack> {
    const { cameraId, microphoneId, size } = this.#store.get();
    if (device === 'camera') {
      const resolution = captureSize(size);
      return createLocalVideoTrack(cameraId === null ? { resolution } : { resolution, deviceId: cameraId });
    }
    return createLocalAudioTrack(microphoneId === null ? {} : { deviceId: microphoneId });
  }

  #stop(device: Device): void {
    const slot = this.#store.get()[device];
    if (slot.is === 'on') slot.track.stop();
  }

  #put(device: Device, slot: Slot<LocalVideoTrack | LocalAudioTrack>): void {
    this.#store.dispatch({ [device]: slot } as Change);
  }
}

/** Whether the browser offers camera and microphone here: only on HTTPS or localhost. */
export function canCapture(): boolean {
  return window.isSecureContext && typeof navigator.mediaDevices?.getUserMedia === 'function';
}

/** What the browser's refusal means. */
export function failureOf(error: unknown): Failure {
  switch (MediaDeviceFailure.getFailure(error)) {
    case MediaDeviceFailure.PermissionDenied:
      return 'denied';
    case MediaDeviceFailure.NotFound:
      return 'none';
    case MediaDeviceFailure.DeviceInUse:
      return 'busy';
    default:
      return 'failed';
  }
}
