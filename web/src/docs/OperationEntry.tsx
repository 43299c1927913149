// One operation, with everything that can be said and answered.

import { useState } from 'react';
import { type Body, commandOf, limitsOf, type Operation, type Outcome } from './document';
import { Prose } from './Prose';
import { TypeText } from './SchemaText';

/** One operation; of a webhook the command that sends it is left out, since LiveKit alone can sign it. */
export function OperationEntry(props: { operation: Operation; origin: string; isWebhook: boolean }) {
  const { operation, origin, isWebhook } = props;
  const { id, method, path, summary, description, request, access } = operation;
  return (
    <article id={id} className="entry">
      <h3>
        <span className={`verb verb-${method.toLowerCase()}`}>{method}</span>{' '}
        <a className="docs-path" href={`#${id}`}>
          {path}
        </a>
      </h3>
      <p>
        <Prose text={summary} />
      </p>
      {description !== '' && (
        <p className="docs-text">
          <Prose text={description} />
        </p>
      )}
      {access !== '' && <p className="muted">{access}</p>}
      <Parameters operation={operation} />
      {request !== undefined && <BodyText title="Body" body={request} />}
      {!isWebhook && id !== 'receive_webhook' && <Command text={commandOf(operation, origin)} />}
      <h4>Answers</h4>
      <dl className="members">
        {operation.outcomes.map((outcome) => (
          <OutcomeText key={outcome.status} outcome={outcome} />
        ))}
      </dl>
    </article>
  );
}

function Parameters({ operation: { parameters } }: { operation: Operation }) {
  if (parameters.length === 0) return null;
  return (
    <>
      <h4>Parameters</h4>
      <dl className="members">
        {parameters.map(({ name, in: where, required, schema, description = '' }) => (
          <div key={`${where}-${name}`}>
            <dt>
              {name}
              <span className="muted">
                {' '}
                {where}
                {required === true ? '' : ', optional'}
              </span>
            </dt>
            <dd>
              <TypeText schema={schema} /> <span className="muted">{limitsOf(schema ?? {})}</span>
              <p>
                <Prose text={description} />
              </p>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function BodyText({ title, body }: { title: string; body: Body }) {
  return (
    <>
      <h4>
        {title} <TypeText schema={body.schema} /> <span className="muted">{body.type}</span>
      </h4>
      {body.example !== undefined && <pre>{body.example}</pre>}
    </>
  );
}

function OutcomeText({ outcome }: { outcome: Outcome }) {
  const { status, description, headers, body, problems } = outcome;
  return (
    <div>
      <dt>{status}</dt>
      <dd>
        <Prose text={description} />
        {problems.length > 0 && (
          <p className="docs-codes">
            {problems.map((code) => (
              <a key={code} href={`#problem-${code}`}>
                {code}
              </a>
            ))}
          </p>
        )}
        {headers.map(({ name, description }) => (
          <p key={name}>
            <code>{name}</code> <Prose text={description} />
          </p>
        ))}
        {body !== undefined && (
          <p>
            <TypeText schema={body.schema} /> <span className="muted">{body.type}</span>
          </p>
        )}
        {body?.example !== undefined && (
          <details>
            <summary>Example</summary>
            <pre>{body.example}</pre>
          </details>
        )}
      </dd>
    </div>
  );
}

function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    // Without a secure address the browser has no clipboard; the text can still be selected.
    void navigator.clipboard?.writeText(text).then(() => setCopied(true));
  };
  return (
    <div className="docs-command">
      <pre>{text}</pre>
      <button type="button" className="plain" onClick={copy}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}
