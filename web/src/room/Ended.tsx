// After the end: why, how long, how many. The host sees the joins, too.

import { useEffect, useState } from 'react';
import { getStream } from '../api/client';
import type { StreamInfo } from '../api/types';
import { durationText, endText, exactText } from '../view/words';
import { usePage } from './context';
import { BackLink } from './Messages';

/** The summary. `hosted`: we were the host of it. */
export function Ended(props: { title: string; info: StreamInfo | null; hosted: boolean }) {
  const info = useFullInfo(props.info);
  return (
    <main className="message">
      <h1>{props.hosted ? `“${props.title}” is over` : 'This stream has ended'}</h1>
      <p className="message-text muted" role="status">
        {props.hosted ? endText(info?.endReason) : `“${props.title}” · ${endText(info?.endReason)}`}
      </p>
      {info !== null && <Summary info={info} joins={props.hosted} />}
      <div className="message-actions">
        <BackLink primary />
      </div>
    </main>
  );
}

function Summary({ info, joins }: { info: StreamInfo; joins: boolean }) {
  const ended = info.endedAt ?? '';
  const length = Date.parse(ended) - Date.parse(info.startedAt);
  return (
    <dl className="summary">
      {!Number.isNaN(length) && (
        <div>
          <dt>Duration</dt>
          <dd title={`${exactText(info.startedAt)} – ${exactText(ended)}`}>{durationText(length)}</dd>
        </div>
      )}
      {info.peakParticipants !== undefined && (
        <div>
          <dt>Most at once</dt>
          <dd>{info.peakParticipants.toLocaleString('en')}</dd>
        </div>
      )}
      {joins && info.totalJoins !== undefined && (
        <div>
          <dt>Joins</dt>
          <dd>{info.totalJoins.toLocaleString('en')}</dd>
        </div>
      )}
    </dl>
  );
}

/** The event may say less than the head does: what is missing is asked for once. */
function useFullInfo(info: StreamInfo | null): StreamInfo | null {
  const { streamId } = usePage();
  const [full, setFull] = useState<StreamInfo | null>(null);
  const lacks = info === null || info.totalJoins === undefined || info.peakParticipants === undefined;
  useEffect(() => {
    if (!lacks) return;
    let wanted = true;
    getStream(streamId)
      .then((told) => wanted && setFull(told))
      .catch(() => undefined);
    return () => {
      wanted = false;
    };
  }, [streamId, lacks]);
  return full !== null && full.phase === 'ended' ? { ...info, ...full } : info;
}
