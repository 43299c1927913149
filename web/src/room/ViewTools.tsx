// How we look at it: quality, small window, full screen.

import { VideoQuality } from 'livekit-client';
import { type RefObject, useEffect, useState } from 'react';
import { Icon } from '../ui/Icon';
import { Menu } from '../ui/Menu';
import { usePage } from './context';
import { useQuality } from './hooks';
import { mainVideo } from './Stage';

const QUALITIES: [VideoQuality, string][] = [
  [VideoQuality.HIGH, 'Automatic'],
  [VideoQuality.MEDIUM, 'At most medium'],
  [VideoQuality.LOW, 'Low, saves data'],
];

/** The tools. */
export function ViewTools({ fullscreen }: { fullscreen: RefObject<HTMLElement | null> }) {
  const [quality, setQuality] = useState(VideoQuality.HIGH);
  useQuality(quality);
  return (
    <>
      <Menu
        label="Quality"
        className="control"
        heading="Picture quality"
        items={QUALITIES.map(([value, label]) => ({
          label,
          checked: value === quality,
          onSelect: () => setQuality(value),
        }))}
      >
        <Icon name="quality" />
      </Menu>
      <PipButton />
      <FullscreenButton element={fullscreen} />
    </>
  );
}

function PipButton() {
  const { session } = usePage();
  if (!document.pictureInPictureEnabled) return null;
  const flip = async () => {
    const video = mainVideo();
    if (document.pictureInPictureElement !== null) return document.exitPictureInPicture();
    if (video === null) return session.say('There is no picture yet.');
    await video.requestPictureInPicture();
  };
  const failed = () => session.say('The browser does not open the small window just now.');
  return (
    <button
      type="button"
      className="control control-pip"
      aria-label="Picture in picture"
      title="Picture in picture"
      onClick={() => void flip().catch(failed)}
    >
      <Icon name="pip" />
    </button>
  );
}

/** Phones of one maker offer full screen for a video only. */
interface TouchVideo extends HTMLVideoElement {
  webkitEnterFullscreen?: () => void;
}

/** Full screen for the stage with its bars. */
export function FullscreenButton({ element }: { element: RefObject<HTMLElement | null> }) {
  const [on, setOn] = useState(false);
  useEffect(() => {
    const look = () => setOn(document.fullscreenElement !== null);
    document.addEventListener('fullscreenchange', look);
    return () => document.removeEventListener('fullscreenchange', look);
  }, []);
  const flip = async () => {
    if (document.fullscreenElement !== null) await document.exitFullscreen();
    else if (document.fullscreenEnabled) await element.current?.requestFullscreen();
    else (mainVideo() as TouchVideo | null)?.webkitEnterFullscreen?.();
  };
  const label = on ? 'Leave full screen' : 'Full screen';
  return (
    <button
      type="button"
      className="control control-fullscreen"
      aria-label={label}
      title={label}
      onClick={() => void flip().catch(() => undefined)}
    >
      <Icon name={on ? 'fullscreen-exit' : 'fullscreen'} />
    </button>
  );
}
