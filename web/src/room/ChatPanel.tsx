// The chat.

import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { useStore } from '../lib/store';
import { type Message, MOST_CHARACTERS } from '../session/chat';
import { Icon } from '../ui/Icon';
import { timeText } from '../view/words';
import { usePage } from './context';

/** What was said, and a field to say something. */
export function ChatPanel() {
  const { session } = usePage();
  const { messages } = useStore(session.chat.state);
  const end = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const newest = messages.at(-1);
  useEffect(() => {
    const box = list.current;
    if (box === null || newest === undefined) return;
    // Whoever has scrolled up to read is left in peace.
    const near = box.scrollHeight - box.scrollTop - box.clientHeight < 160;
    if (near || newest.own) end.current?.scrollIntoView({ block: 'end' });
  }, [newest]);
  return (
    <div className="chat">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard. */}
      <div className="chat-list" ref={list} role="log" aria-label="Messages" tabIndex={0}>
        {messages.length === 0 && <p className="chat-note">Nobody has said anything yet.</p>}
        {messages.map((message, at) => (
          <Line key={message.id} message={message} follows={messages[at - 1]?.from === message.from} />
        ))}
        <div ref={end} />
      </div>
      <ChatForm />
    </div>
  );
}

function Line({ message, follows }: { message: Message; follows: boolean }) {
  return (
    <div className={`chat-line${message.own ? ' chat-own' : ''}`}>
      {!follows && (
        <p className="chat-from">
          <b>{message.own ? 'You' : message.name}</b>{' '}
          <time title={new Date(message.at).toLocaleString()}>{timeText(message.at).slice(0, 5)}</time>
        </p>
      )}
      <p className="chat-text">{message.text}</p>
    </div>
  );
}

function ChatForm() {
  const { session } = usePage();
  const [text, setText] = useState('');
  const [problem, setProblem] = useState(false);
  const send = async () => {
    const wanted = text;
    if (wanted.trim() === '') return;
    setText('');
    setProblem(false);
    try {
      await session.chat.send(wanted);
    } catch {
      setText(wanted);
      setProblem(true);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };
  return (
    <form className="chat-form" onSubmit={submit}>
      <div role="alert">
        {problem && <p className="hint">It was not sent. Try again when you are connected.</p>}
      </div>
      <div className="chat-field">
        <textarea
          rows={1}
          value={text}
          maxLength={MOST_CHARACTERS}
          aria-label="Message"
          placeholder="Message"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <button type="submit" className="primary round" aria-label="Send" disabled={text.trim() === ''}>
          <Icon name="send" />
        </button>
      </div>
      <p className="hint">The chat is not kept: who comes later does not see it.</p>
    </form>
  );
}
