// The API's own document (OpenAPI 3.1), as far as the reference shows it, and
// what the page makes of it. Pure; nothing here knows the browser.

/** A schema; `$ref` leads to one with a name. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: (string | number | null)[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
}

interface Example {
  summary?: string;
  value?: unknown;
}

interface Content {
  schema?: Schema;
  example?: unknown;
  examples?: Record<string, Example>;
}

interface Answer {
  $ref?: string;
  description?: string;
  headers?: Record<string, { description?: string }>;
  content?: Record<string, Content>;
}

interface Parameter {
  name: string;
  in: string;
  description?: string;
  required?: boolean;
  schema?: Schema;
}

interface RawOperation {
  operationId?: string;
  tags?: string[];
  summary?: string;
  description?: string;
  parameters?: Parameter[];
  requestBody?: { description?: string; content?: Record<string, Content> };
  responses?: Record<string, Answer>;
  security?: Record<string, string[]>[];
}

type Paths = Record<string, Record<string, RawOperation>>;

/** The document. */
export interface Document {
  info: { title: string; version: string; description?: string };
  tags?: { name: string; description?: string }[];
  paths: Paths;
  webhooks?: Paths;
  components: {
    schemas: Record<string, Schema>;
    responses: Record<string, Answer>;
    securitySchemes?: Record<string, { description?: string }>;
  };
}

/** A body as it is shown. */
export interface Body {
  type: string;
  schema?: Schema;
  /** Text as it goes over the wire; JSON indented. */
  example?: string;
}

/** One kind of answer. */
export interface Outcome {
  status: string;
  description: string;
  headers: { name: string; description: string }[];
  body?: Body;
  /** The codes of the problems it may be. */
  problems: string[];
}

/** One thing that can be asked, or, as a webhook, is sent. */
export interface Operation {
  id: string;
  method: string;
  path: string;
  summary: string;
  description: string;
  parameters: Parameter[];
  request?: Body;
  outcomes: Outcome[];
  /** Who may; empty: everybody. */
  access: string;
}

/** A kind of problem. */
export interface Problem {
  code: string;
  status: string;
  when: string;
  detail: string;
}

/** A heading with the operations below it. */
export interface Section {
  name: string;
  description: string;
  operations: Operation[];
}

/** Everything on the page. */
export interface Reference {
  title: string;
  version: string;
  introduction: string[];
  credentials: { name: string; description: string }[];
  sections: Section[];
  problems: Problem[];
  schemas: { name: string; schema: Schema }[];
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

/** Makes the page's model of a document. */
export function referenceOf(document: Document): Reference {
  const operations = operationsOf(document, document.paths);
  const sections = (document.tags ?? []).map(({ name, description = '' }) => ({
    name,
    description,
    operations: operations.filter(({ tag }) => tag === name),
  }));
  const webhooks = operationsOf(document, document.webhooks ?? {});
  if (webhooks.length > 0)
    sections.push({
      name: 'webhooks',
      description: 'What LiveKit sends to POST /webhook',
      operations: webhooks,
    });
  return {
    title: document.info.title,
    version: document.info.version,
    introduction: (document.info.description ?? '').split('\n\n').filter((text) => text !== ''),
    credentials: Object.entries(document.components.securitySchemes ?? {}).map(
      ([name, { description = '' }]) => ({ name, description }),
    ),
    sections: sections.filter((section) => section.operations.length > 0),
    problems: problemsOf(document),
    schemas: Object.entries(document.components.schemas).map(([name, schema]) => ({ name, schema })),
  };
}

function operationsOf(document: Document, paths: Paths): (Operation & { tag: string })[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const raw = item[method];
      return raw === undefined
        ? []
        : [{ tag: raw.tags?.[0] ?? '', ...operation(document, method, path, raw) }];
    }),
  );
}

function operation(document: Document, method: string, path: string, raw: RawOperation): Operation {
  return {
    id: raw.operationId ?? `${method}-${path}`,
    method: method.toUpperCase(),
    path,
    summary: raw.summary ?? '',
    description: raw.description ?? '',
    parameters: raw.parameters ?? [],
    request: bodyOf(raw.requestBody?.content),
    outcomes: Object.entries(raw.responses ?? {}).map(([status, answer]) =>
      outcome(document, status, answer),
    ),
    access: access(raw.security),
  };
}

function outcome(document: Document, status: string, answer: Answer): Outcome {
  const whole = resolved(document, answer);
  const problems = Object.values(whole.content ?? {}).flatMap(({ examples }) => Object.keys(examples ?? {}));
  return {
    status: status === 'default' ? 'other' : status,
    description: whole.description ?? '',
    headers: Object.entries(whole.headers ?? {}).map(([name, { description = '' }]) => ({
      name,
      description,
    })),
    body: problems.length > 0 ? undefined : bodyOf(whole.content),
    problems,
  };
}

function resolved(document: Document, answer: Answer): Answer {
  return document.components.responses[lastPart(answer.$ref ?? '')] ?? answer;
}

function bodyOf(content: Record<string, Content> | undefined): Body | undefined {
  const [type, first] = Object.entries(content ?? {})[0] ?? [];
  if (type === undefined || first === undefined) return undefined;
  return {
    type,
    schema: first.schema,
    example: first.example === undefined ? undefined : shown(first.example),
  };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value.trimEnd() : JSON.stringify(value, null, 2);
}

/** Who may, in words. An empty entry stands for nobody in particular: keys are not in use everywhere. */
function access(security: Record<string, string[]>[] | undefined): string {
  const ways = (security ?? []).flatMap((entry) =>
    Object.entries(entry).map(([name, scopes]) =>
      name === 'key' ? `a key${scopes[0] ? ` with the scope ${scopes[0]}` : ''}` : (WAYS[name] ?? name),
    ),
  );
  if (ways.length === 0) return '';
  const where = security?.some((entry) => 'key' in entry) ? 'Where keys are in use: ' : '';
  return `${where}${ways.join(', or ')}.`;
}

const WAYS: Record<string, string> = {
  joinToken: 'the join token of this userId',
  hostKey: 'the stream’s host key',
  invite: 'an invite',
  livekit: 'LiveKit’s signature',
};

function problemsOf(document: Document): Problem[] {
  const contents = Object.values(document.components.responses).flatMap(({ content }) =>
    Object.values(content ?? {}),
  );
  const examples = contents.flatMap(({ examples }) => Object.entries(examples ?? {}));
  const problems = examples.map(([code, { summary = '', value }]) => {
    const { status, detail } = (value ?? {}) as { status?: number; detail?: string };
    return { code, status: String(status ?? ''), when: summary, detail: detail ?? '' };
  });
  return problems.sort((a, b) => a.status.localeCompare(b.status) || a.code.localeCompare(b.code));
}

/** The name that a reference leads to. */
export function lastPart(reference: string): string {
  return reference.slice(reference.lastIndexOf('/') + 1);
}

/** A schema's type in a few words, with the names that it refers to as parts of their own. */
export function typeOf(schema: Schema | undefined): (string | { ref: string })[] {
  if (schema === undefined) return ['anything'];
  if (schema.$ref !== undefined) return [{ ref: lastPart(schema.$ref) }];
  const several = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (several !== undefined)
    return several.flatMap((one, at) => (at === 0 ? typeOf(one) : [' or ', ...typeOf(one)]));
  if (schema.enum !== undefined) return [schema.enum.map(String).join(', ')];
  const types = [schema.type ?? 'anything'].flat();
  if (types.includes('array')) return ['list of ', ...typeOf(schema.items)];
  return [types.map((type) => (type === 'string' && schema.format ? schema.format : type)).join(' or ')];
}

/** What a value must keep to, beyond its type. */
export function limitsOf(schema: Schema): string {
  const between = (least?: number, most?: number, what = '') =>
    least === undefined && most === undefined
      ? []
      : [`${least?.toLocaleString('en') ?? ''}…${most?.toLocaleString('en') ?? ''}${what}`];
  return [
    ...between(schema.minimum, schema.maximum),
    ...between(schema.minLength, schema.maxLength, ' characters'),
  ].join(', ');
}

/** A command that asks for it, to be copied. */
export function commandOf({ method, path, request, access, outcomes }: Operation, origin: string): string {
  const address = path.replace('{id}', 'gold').replace('{identity}', 'ann');
  const streams = outcomes.some(({ body }) => body?.type === 'text/event-stream');
  const parts = [`curl ${streams ? '-N ' : ''}${method === 'GET' ? '' : `-X ${method} `}${origin}${address}`];
  if (access.includes('a key')) parts.push(`-H "authorization: Bearer $LIVESTREAM_KEY"`);
  if (request?.example !== undefined) {
    parts.push(`-H 'content-type: ${request.type}'`);
    parts.push(`-d '${JSON.stringify(JSON.parse(request.example)).replaceAll("'", "'\\''")}'`);
  }
  return parts.join(' \\\n  ');
}

/** The sections with what matches a search, by its path, name or words. */
export function matching(sections: Section[], search: string): Section[] {
  const wanted = search.trim().toLowerCase();
  if (wanted === '') return sections;
  const matches = ({ method, path, id, summary, description }: Operation) =>
    [`${method} ${path}`, id, summary, description].some((text) => text.toLowerCase().includes(wanted));
  const found = sections.map((section) => ({ ...section, operations: section.operations.filter(matches) }));
  return found.filter(({ operations }) => operations.length > 0);
}
