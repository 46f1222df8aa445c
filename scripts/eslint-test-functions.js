import { builtinRules } from 'eslint/use-at-your-own-risk';

const longFunctions = builtinRules.get('max-lines-per-function');

/** max-lines-per-function, but for the callbacks of `describe`: those are folders, not functions. */
const maxLinesPerTestFunction = {
  meta: longFunctions.meta,
  create(context) {
    const report = (descriptor) => {
      if (!isDescribeCallback(descriptor.node)) context.report(descriptor);
    };
    return longFunctions.create(Object.create(context, { report: { value: report } }));
  },
};

function isDescribeCallback({ parent }) {
  return parent?.type === 'CallExpression' && calleeName(parent.callee) === 'describe';
}

/** The leftmost name of `describe(...)`, `describe.each(table)(...)` and their like. */
function calleeName(node) {
  if (node.type === 'CallExpression' || node.type === 'TaggedTemplateExpression') {
    return calleeName(node.callee ?? node.tag);
  }
  return node.type === 'MemberExpression' ? calleeName(node.object) : node.name;
}

/** The project's own lint rules. */
export const testFunctions = { rules: { 'max-lines-per-function': maxLinesPerTestFunction } };
