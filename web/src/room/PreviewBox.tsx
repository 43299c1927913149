// Ourselves before joining: picture, level, and which devices.

import { useTrackVolume } from '@livekit/components-react';
import type { LocalAudioTrack, LocalVideoTrack } from 'livekit-client';
import { useEffect, useId, useRef } from 'react';
import { useStore } from '../lib/store';
import { CAMERA_SIZES, type CameraSize } from '../session/capture';
import type { Device, Preview, Slot } from '../session/preview';
import { Icon } from '../ui/Icon';
import { failureText } from '../view/devices';
import { useDevices } from './devices';

/** The preview with its switches. */
export function PreviewBox({ preview }: { preview: Preview }) {
  const state = useStore(preview.state);
  return (
    <section className="preview" aria-label="Camera and microphone">
      <div className="preview-picture">
        {state.camera.is === 'on' ? (
          <SelfView track={state.camera.track} />
        ) : (
          <p className="preview-off">
            {state.camera.is === 'starting' ? 'Starting the camera …' : 'The camera is off'}
          </p>
        )}
        <div className="preview-bar">
          <Switch device="microphone" slot={state.microphone} preview={preview} />
          <Switch device="camera" slot={state.camera} preview={preview} />
          <Level slot={state.microphone} />
        </div>
      </div>
      <Problems camera={state.camera} microphone={state.microphone} />
      <div className="preview-choices">
        <DeviceSelect device="camera" preview={preview} chosen={state.cameraId} slot={state.camera} />
        <DeviceSelect
          device="microphone"
          preview={preview}
          chosen={state.microphoneId}
          slot={state.microphone}
        />
        <SizeSelect preview={preview} size={state.size} />
      </div>
    </section>
  );
}

function SelfView({ track }: { track: LocalVideoTrack }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    track.attach(element);
    return () => {
      track.detach(element);
    };
  }, [track]);
  return <video ref={video} className="mirrored" muted playsInline aria-label="Your camera" />;
}

function Switch({ device, slot, preview }: { device: Device; slot: Slot<unknown>; preview: Preview }) {
  const on = slot.is === 'on' || slot.is === 'starting';
  const label = device === 'camera' ? 'Camera' : 'Microphone';
  const icon = device === 'camera' ? ('camera' as const) : ('mic' as const);
  return (
    <button
      type="button"
      className="control"
      aria-pressed={on}
      aria-label={label}
      title={on ? `Switch the ${device} off` : `Switch the ${device} on`}
      onClick={() => void preview.set(device, !on)}
    >
      <Icon name={on ? icon : `${icon}-off`} />
    </button>
  );
}

/** What is wrong, said once when it is the same for both. */
function Problems({ camera, microphone }: { camera: Slot<unknown>; microphone: Slot<unknown> }) {
  const texts: string[] = [];
  if (camera.is === 'failed' && microphone.is === 'failed' && camera.why === microphone.why) {
    texts.push(failureText('camera and microphone', camera.why));
  } else {
    if (camera.is === 'failed') texts.push(failureText('camera', camera.why));
    if (microphone.is === 'failed') texts.push(failureText('microphone', microphone.why));
  }
  return (
    <div role="alert" className="preview-problems">
      {texts.map((text) => (
        <p key={text} className="problem">
          {text}
        </p>
      ))}
    </div>
  );
}

function Level({ slot }: { slot: Slot<LocalAudioTrack> }) {
  return slot.is === 'on' ? <LevelMeter track={slot.track} /> : <div className="level" aria-hidden="true" />;
}

function LevelMeter({ track }: { track: LocalAudioTrack }) {
  const level = Math.min(1, useTrackVolume(track) * 1.6);
  return (
    <div className="level">
      <meter
        className="visually-hidden"
        aria-label="Microphone level"
        min={0}
        max={100}
        value={Math.round(level * 100)}
      />
      <span style={{ transform: `scaleX(${level.toFixed(2)})` }} />
    </div>
  );
}

function DeviceSelect(props: {
  device: Device;
  preview: Preview;
  chosen: string | null;
  slot: Slot<unknown>;
}) {
  const field = useId();
  const devices = useDevices(props.device === 'camera' ? 'videoinput' : 'audioinput', props.slot.is);
  const known = devices.some(({ id }) => id === props.chosen);
  return (
    <div>
      <label htmlFor={field}>{props.device === 'camera' ? 'Camera' : 'Microphone'}</label>
      <select
        id={field}
        value={known && props.chosen !== null ? props.chosen : ''}
        onChange={(event) => void props.preview.choose(props.device, event.target.value)}
      >
        {!known && <option value="">{devices.length === 0 ? 'None found' : 'Default'}</option>}
        {devices.map(({ id, label }) => (
          <option key={id} value={id}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}

function SizeSelect({ preview, size }: { preview: Preview; size: CameraSize }) {
  const field = useId();
  return (
    <div>
      <label htmlFor={field}>Picture</label>
      <select
        id={field}
        value={size}
        onChange={(event) => void preview.resize(Number(event.target.value) as CameraSize)}
      >
        {CAMERA_SIZES.map((lines) => (
          <option key={lines} value={lines}>
            {lines}p
          </option>
        ))}
      </select>
    </div>
  );
}
