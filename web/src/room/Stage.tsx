// The pictures: one fills the stage, several share it, a shared screen takes it.

import {
  isTrackReference,
  useConnectionQualityIndicator,
  useIsSpeaking,
  useTracks,
  VideoTrack,
} from '@livekit/components-react';
import { ConnectionQuality } from 'livekit-client';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { nameOf } from '../session/watch';
import { Icon } from '../ui/Icon';
import { arrange, place } from '../view/stage';
import { type StageTile, useStageTiles } from './hooks';

/** The stage; `children` lie over it. */
export function Stage({ children }: { children?: ReactNode }) {
  const tiles = useStageTiles();
  const stage = useRef<HTMLElement>(null);
  const shape = useShape(stage);
  const { large, small, hidden } = arrange(tiles);
  const { columns, rows, areas } = place(large.length, small.length, shape);
  const bare = large.length === 1 && small.length === 0;
  return (
    <section className="stage" ref={stage} aria-label="Stage">
      <div className="stage-grid" style={{ gridTemplateColumns: columns, gridTemplateRows: rows }}>
        {[...large, ...small].map((tile, at) => (
          <div
            key={tile.key}
            className={at < large.length ? 'cell' : 'cell cell-small'}
            style={{ gridArea: areas[at] }}
          >
            <TileView tile={tile} bare={bare} />
          </div>
        ))}
      </div>
      {hidden > 0 && <p className="stage-hidden">and {hidden} more</p>}
      {children}
    </section>
  );
}

function TileView({ tile, bare }: { tile: StageTile; bare: boolean }) {
  const { participant } = tile;
  const speaking = useIsSpeaking(participant);
  const name = nameOf(participant);
  const muted = !tile.screen && !participant.isMicrophoneEnabled;
  const said = tile.screen ? `${name} shares the screen` : name;
  return (
    <figure
      className={`tile${bare ? ' tile-bare' : ''}${speaking && !bare && !tile.screen ? ' tile-speaking' : ''}`}
      data-person={participant.identity}
    >
      {tile.picture ? <Picture tile={tile} said={said} /> : <Face name={name} />}
      <figcaption>
        {muted && <Icon name="mic-off" />}
        {muted && <span className="visually-hidden">Muted: </span>}
        <span className="tile-name">{participant.isLocal ? `${name} (you)` : said}</span>
        <Weak tile={tile} />
      </figcaption>
    </figure>
  );
}

function Picture({ tile, said }: { tile: StageTile; said: string }) {
  const refs = useTracks([tile.source], { onlySubscribed: false });
  const ref = refs.find(({ participant }) => participant.identity === tile.participant.identity);
  const mirrored = tile.participant.isLocal && !tile.screen;
  if (ref === undefined || !isTrackReference(ref)) return <Face name={nameOf(tile.participant)} />;
  return <VideoTrack trackRef={ref} className={mirrored ? 'mirrored' : ''} aria-label={said} playsInline />;
}

function Face({ name }: { name: string }) {
  return (
    <span className="face" aria-hidden="true">
      {[...name.trim()][0]?.toLocaleUpperCase() ?? '?'}
    </span>
  );
}

/** Says that somebody's connection is weak; a good one needs no words. */
function Weak({ tile }: { tile: StageTile }) {
  const { quality } = useConnectionQualityIndicator({ participant: tile.participant });
  if (quality !== ConnectionQuality.Poor && quality !== ConnectionQuality.Lost) return null;
  return (
    <span className="tile-weak">
      {quality === ConnectionQuality.Lost ? 'no connection' : 'weak connection'}
    </span>
  );
}

function useShape(element: { current: HTMLElement | null }): number {
  const [shape, setShape] = useState(16 / 9);
  useEffect(() => {
    const { current } = element;
    if (current === null || typeof ResizeObserver !== 'function') return;
    const observer = new ResizeObserver(([entry]) => {
      const { width = 0, height = 0 } = entry?.contentRect ?? {};
      if (width > 0 && height > 0) setShape(width / height);
    });
    observer.observe(current);
    return () => observer.disconnect();
  }, [element]);
  return shape;
}

/** The video one would watch in a small window: the first of the stage. */
export function mainVideo(): HTMLVideoElement | null {
  return document.querySelector<HTMLVideoElement>('.stage video');
}
