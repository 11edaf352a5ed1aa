import js from '@eslint/js';
import boundaries from 'eslint-plugin-boundaries';
import globals from 'globals';
import tseslint from 'typescript-eslint';

// The layers of docs/architecture.md. A type is a folder of src/; what a layer may import stands in LAYERS, and the
// packages from npm that only one place may import in DRIVERS.

/** Layer → the layers it may import besides itself. */
const LAYERS = {
  domain: [],
  ports: ['domain'],
  flow: ['domain', 'ports'],
  audio: ['domain', 'ports'],
  service: ['domain', 'ports', 'flow'],
  adapter: ['domain', 'ports'],
  config: ['domain'],
  host: ['domain', 'ports', 'flow', 'audio', 'service', 'adapter', 'config'],
  cli: ['domain', 'ports', 'audio', 'config', 'host'],
  main: ['domain', 'cli'],
};

/** Package → the layers that may import it. */
const DRIVERS = {
  'node:sqlite': ['adapter'],
  mongodb: ['adapter'],
  mysql2: ['adapter'],
  'mysql2/**': ['adapter'],
  'rabbitmq-client': ['adapter'],
  nodemailer: ['adapter'],
  'nodemailer/**': ['adapter'],
  'node-av': ['audio'],
  'node-av/**': ['audio'],
  fastify: ['service'],
  '@fastify/**': ['service'],
  undici: ['service', 'adapter'],
  pino: ['host'],
  'pino-pretty': ['host'],
};

const element = (type, pattern, capture = []) => ({ type, pattern, capture });

const layerPolicies = Object.entries(LAYERS).map(([layer, others]) => ({
  from: { element: { type: layer } },
  allow: [
    { to: { element: others.map((type) => ({ type })) } },
    // A service or an adapter is one of several: it may import its own folder only.
    {
      to: {
        element:
          layer === 'service' || layer === 'adapter'
            ? { type: layer, captured: { name: '{{ from.element.captured.name }}' } }
            : { type: layer },
      },
    },
  ],
}));

const driverPolicies = Object.entries(DRIVERS).map(([source, layers]) => ({
  from: {
    element: Object.keys(LAYERS)
      .filter((layer) => !layers.includes(layer))
      .map((type) => ({ type })),
  },
  disallow: { to: { module: { source } } },
  message: `${source} may be imported in ${layers.join(', ')} only`,
}));

const layers = {
  files: ['src/**/*.ts'],
  plugins: { boundaries },
  settings: {
    'boundaries/include': ['src/**/*.ts'],
    'boundaries/dependency-nodes': ['import', 'export', 'dynamic-import'],
    'import/resolver': { node: { extensions: ['.ts', '.js'] } },
    'boundaries/elements': [
      element('domain', 'src/domain'),
      element('ports', 'src/ports'),
      element('flow', 'src/flow'),
      element('audio', 'src/audio'),
      element('service', 'src/services/*', ['name']),
      element('adapter', 'src/adapters/*', ['name']),
      element('host', 'src/host'),
      element('cli', 'src/cli'),
      element('config', 'src/config'),
      element('main', 'src'),
    ],
  },
  rules: {
    'boundaries/no-unknown-files': 'error',
    'boundaries/dependencies': [
      'error',
      {
        default: 'disallow',
        checkAllOrigins: true,
        policies: [
          { allow: { to: { module: { origin: ['external', 'core'] } } } },
          ...layerPolicies,
          ...driverPolicies,
        ],
      },
    ],
  },
};

export default tseslint.config(
  { ignores: ['node_modules/', 'dist/', 'data/', 'coverage/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
    },
  },
  layers,
  {
    files: ['src/**/*.ts'],
    ignores: ['src/config/config.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only src/config/config.ts reads the environment.' },
      ],
    },
  },
  {
    files: ['tests/**/*.ts', 'bench/**/*.ts'],
    rules: {
      // node:test's test() and suite() return promises that the runner itself awaits.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'suite', 'describe', 'it'], package: 'node:test' },
          ],
        },
      ],
    },
  },
  { files: ['web/assets/**/*.js'], languageOptions: { globals: globals.browser } },
  { files: ['**/*.js'], ignores: ['web/**'], languageOptions: { globals: globals.node } },
);
