import { parsers } from 'prettier/plugins/yaml';

/** What a YAML document says: mappings, lists and texts; no scalar is anything but its text. */
export type Yaml = string | null | readonly Yaml[] | { readonly [key: string]: Yaml };

/** A node of prettier's syntax tree, as far as it is looked at. */
interface Node {
  readonly type: string;
  readonly value?: string;
  readonly anchor?: { readonly value: string } | null;
  readonly children?: readonly (Node | null)[];
}

/** Reads one document; anchors, aliases and merge keys (`<<`) included. */
export async function parseYaml(text: string): Promise<Yaml> {
  const root = (await (parsers.yaml.parse as (text: string, options: object) => unknown)(text, {})) as Node;
  const documents = childrenOf(root);
  const body = childrenOf(documents[0]).find(({ type }) => type === 'documentBody');
  return read(childrenOf(body)[0], new Map());
}

function childrenOf(node: Node | undefined): readonly Node[] {
  return (node?.children ?? []).filter((child) => child !== null);
}

function read(node: Node | undefined, anchors: Map<string, Yaml>): Yaml {
  if (node === undefined) return null;
  const value = readValue(node, anchors);
  if (node.anchor) anchors.set(node.anchor.value, value);
  return value;
}

function readValue(node: Node, anchors: Map<string, Yaml>): Yaml {
  switch (node.type) {
    case 'plain':
    case 'quoteSingle':
    case 'quoteDouble':
    case 'blockLiteral':
    case 'blockFolded':
      return node.value ?? '';
    case 'null':
      return null;
    case 'alias':
      return known(anchors, node.value ?? '');
    case 'sequence':
    case 'flowSequence':
      return childrenOf(node).map((item) =>
        read(item.type.endsWith('Item') ? childrenOf(item)[0] : item, anchors),
      );
    case 'mapping':
    case 'flowMapping':
      return readMapping(node, anchors);
    default:
      throw new Error(`YAML of a kind that is not expected here: ${node.type}`);
  }
}

function known(anchors: ReadonlyMap<string, Yaml>, name: string): Yaml {
  const value = anchors.get(name);
  if (value === undefined) throw new Error(`There is no anchor ${name}`);
  return value;
}

function readMapping(node: Node, anchors: Map<string, Yaml>): Yaml {
  const own: Record<string, Yaml> = {};
  const merged: Record<string, Yaml> = {};
  for (const item of childrenOf(node)) {
    const [key, value] = item.children ?? [];
    const name = read(childrenOf(key ?? undefined)[0], anchors);
    if (typeof name !== 'string') throw new Error('A key that is no text');
    const content = read(childrenOf(value ?? undefined)[0], anchors);
    if (name === '<<') Object.assign(merged, content);
    else if (Object.hasOwn(own, name)) throw new Error(`Two keys ${name}`);
    else own[name] = content;
  }
  return { ...merged, ...own };
}
