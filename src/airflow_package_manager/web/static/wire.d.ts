// Written by testenv/page_types.py from web/schemas.py; do not edit by hand.

export interface Answer {
}

export interface Audit {
  events: Event[];
  next: number | null;
}

export interface Change {
  action: string;
  requirement: string;
}

export interface Check {
  name: string;
  status: "ok" | "warning" | "failed" | "unknown";
  cause: string;
  next_action: string;
}

export interface Component {
  name: string;
  status: string;
  message: string;
  stamp: number | null;
  infrastructure: boolean;
  unverified: string | null;
  instances: Instance[];
}

export interface ComponentProgress {
  name: string;
  stage: "waiting" | "restarting" | "done";
  previous_stamp: number | null;
  verified: string | null;
  unverified: string | null;
}

export interface Components {
  components: Component[];
  revision: number | null;
}

export interface Csrf {
  header: string;
  token: string;
}

export interface Description {
  openapi: string;
  [member: string]: unknown;
}

export interface Event {
  id: number | null;
  sequence: number | null;
  at: string;
  kind: string;
  message: string;
  principal: Who | null;
  address: string | null;
  operation: string | null;
  state: string | null;
  component: string | null;
  details: {[key: string]: any};
}

export interface Events {
  events: Event[];
  state: string;
  step: string;
}

export interface Health {
  checks: Check[];
}

export interface InstalledIn {
  component: string;
  version: string | null;
  source: "site" | "image" | "absent" | "unknown";
}

export interface Instance {
  name: string;
  status: string;
  message: string;
  stamp: number | null;
  lock_digest: string | null;
  started_at: string | null;
  reported_at: string | null;
  restarts: number;
  alive: boolean;
  install_outcome: string | null;
  install_code: string | null;
  install_cause: string | null;
  node: string | null;
  reason: string | null;
}

export interface KeptLine {
  number: number;
  kind: string;
  text: string;
}

export interface Operation {
  id: string;
  state: string;
  label: "expired" | "abandoned" | null;
  owner: Who;
  summary: string;
  request: {[key: string]: any};
  created_at: string;
  updated_at: string;
  expires_at: string;
  accepted_at: string | null;
  ended_at: string | null;
  revision: number | null;
  cancel_requested: boolean;
  step: string;
  problem: Problem | null;
  plan: Plan | null;
  components: ComponentProgress[];
  actions: ("apply" | "cancel")[];
}

export interface OperationCreated {
  operation: Operation;
  token: string;
  expires_at: string;
}

export interface Operations {
  operations: Operation[];
  next: string | null;
  active: string | null;
}

export interface Package {
  name: string;
  summary: string;
  requested: string | null;
  locked: string | null;
  image: string | null;
  installed: InstalledIn[];
  badges: string[];
  required_by: string[];
}

export interface PackageChange {
  name: string;
  effect: "new" | "upgraded" | "downgraded" | "removed" | "in-image";
  before: string | null;
  after: string | null;
  direct: boolean;
  image_version: string | null;
  shadows: boolean;
  required_by: string[];
  summary: string;
  size: number | null;
}

export interface PackageDetail {
  package: Package;
  requires: string[];
  releases: Release[];
  index: string | null;
  index_problem: string | null;
}

export interface Packages {
  packages: Package[];
  kept_lines: KeptLine[];
  components: string[];
  revision: number | null;
  edited_by_hand: boolean;
  requirements_digest: string;
}

export interface Plan {
  digest: string;
  base_digest: string;
  changes: Change[];
  package_changes: PackageChange[];
  base_text: string;
  proposed_text: string;
  difference: string;
  lock: string;
  lock_digest: string;
  lock_changes: boolean;
  components: string[];
  warnings: PlanWarning[];
  acknowledgements: string[];
  longest_seconds: number | null;
  usual_seconds: number | null;
  adopted: boolean;
  tasks: string[];
}

export interface PlanWarning {
  code: string;
  message: string;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  next_action: string;
  [member: string]: unknown;
}

export interface Release {
  version: string;
  yanked: string | null;
  requires_python: string | null;
  uploaded_at: string | null;
  has_wheel: boolean | null;
  size: number | null;
}

export interface Requirements {
  text: string;
  digest: string;
  edited_by_hand: boolean;
  manager: string | null;
  kept_lines: KeptLine[];
}

export interface Revision {
  revision: number;
  operation: string;
  owner: Who;
  summary: string;
  at: string;
  current: boolean;
}

export interface RevisionDetail {
  revision: Revision;
  text: string;
  lock: string;
  difference: string | null;
}

export interface Revisions {
  revisions: Revision[];
}

export interface Session {
  principal: Who;
  permissions: string[];
  airflow_version: string;
  plugin_version: string;
  token_lifetime: number;
  target: string;
  place: string;
  components: string[];
  python: string;
  platform: string;
  csrf: Csrf | null;
}

export interface Who {
  auth_manager: string;
  id: string;
  name: string;
}
