-- coldsend's schema at revision 0004, for SQLite 3.35+. Written by `make schema`; do not edit.
-- Load it into an empty database, or let coldsend make it: coldsend db upgrade

CREATE TABLE alert_deliveries (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  alert_id INTEGER NOT NULL,
  event VARCHAR(32) NOT NULL,
  target VARCHAR(255) NOT NULL,
  status VARCHAR(32) DEFAULT 'pending' NOT NULL,
  attempts INTEGER DEFAULT '0' NOT NULL,
  next_at DATETIME,
  last_error TEXT,
  done_at DATETIME,
  CONSTRAINT ck_alert_deliveries_alert_event CHECK (event IN ('raised', 'cleared')),
  CONSTRAINT ck_alert_deliveries_delivery_status CHECK (status IN ('pending', 'done', 'given_up'))
);

CREATE INDEX ix_alert_deliveries_alert_id ON alert_deliveries (alert_id);

CREATE INDEX ix_alert_deliveries_status_next_at ON alert_deliveries (status, next_at);

CREATE TABLE alerts (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  kind VARCHAR(32) NOT NULL,
  subject VARCHAR(255) NOT NULL,
  message TEXT NOT NULL,
  details JSON,
  raised_at DATETIME NOT NULL,
  cleared_at DATETIME,
  open_key VARCHAR(320),
  CONSTRAINT ck_alerts_alert_kind CHECK (kind IN ('service_frozen', 'breaker', 'campaign_done', 'unknown_rows', 'daemon_silent', 'mailbox_failing')),
  CONSTRAINT uq_alerts_open_key UNIQUE (open_key)
);

CREATE INDEX ix_alerts_raised_at ON alerts (raised_at);

CREATE TABLE audit_log (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at DATETIME NOT NULL,
  user_id INTEGER,
  username VARCHAR(255),
  os_user VARCHAR(255),
  host VARCHAR(255),
  command VARCHAR(100) NOT NULL,
  arguments JSON,
  exit_code INTEGER NOT NULL,
  error VARCHAR(100)
);

CREATE INDEX ix_audit_log_at ON audit_log (at);

CREATE TABLE contact_tags (
  tag VARCHAR(100) NOT NULL,
  contact_id INTEGER NOT NULL,
  CONSTRAINT pk_contact_tags PRIMARY KEY (tag, contact_id)
);

CREATE INDEX ix_contact_tags_contact_id ON contact_tags (contact_id);

CREATE TABLE contacts (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  email VARCHAR(255) NOT NULL,
  email_key VARCHAR(320) NOT NULL,
  email_domain VARCHAR(255) NOT NULL,
  nickname VARCHAR(255),
  tags JSON,
  fields JSON,
  time_zone VARCHAR(64),
  source VARCHAR(255),
  lawful_basis VARCHAR(50),
  deleted_at DATETIME,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  away_until DATETIME,
  erased_at DATETIME,
  CONSTRAINT uq_contacts_email UNIQUE (email),
  CONSTRAINT uq_contacts_email_key UNIQUE (email_key)
);

CREATE INDEX ix_contacts_email_domain ON contacts (email_domain);

CREATE INDEX ix_contacts_erased_at ON contacts (erased_at);

CREATE TABLE cursors (
  name VARCHAR(64) NOT NULL,
  position INTEGER DEFAULT '0' NOT NULL,
  moved_at DATETIME,
  CONSTRAINT pk_cursors PRIMARY KEY (name)
);

CREATE TABLE dkim_keys (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  domain VARCHAR(255) NOT NULL,
  selector VARCHAR(63) NOT NULL,
  algorithm VARCHAR(32) NOT NULL,
  bits INTEGER NOT NULL,
  public_key TEXT NOT NULL,
  private_key JSON NOT NULL,
  status VARCHAR(32) DEFAULT 'new' NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  activated_at DATETIME,
  retired_at DATETIME,
  CONSTRAINT uq_dkim_keys_domain_selector UNIQUE (domain, selector),
  CONSTRAINT ck_dkim_keys_dkim_algorithm CHECK (algorithm IN ('rsa', 'ed25519')),
  CONSTRAINT ck_dkim_keys_dkim_key_status CHECK (status IN ('new', 'active', 'retired'))
);

CREATE TABLE event_counts (
  task_id INTEGER NOT NULL,
  hour DATETIME NOT NULL,
  type VARCHAR(32) NOT NULL,
  nature VARCHAR(32) NOT NULL,
  template_id INTEGER NOT NULL,
  sender_service_id INTEGER NOT NULL,
  events INTEGER DEFAULT '0' NOT NULL,
  recipients INTEGER DEFAULT '0' NOT NULL,
  firsts INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_event_counts PRIMARY KEY (task_id, hour, type, nature, template_id, sender_service_id),
  CONSTRAINT ck_event_counts_event_type CHECK (type IN ('send_api_try', 'send_api_success', 'send_api_fail', 'delivered', 'open', 'click', 'reply', 'unsubscribe', 'bounce', 'complaint')),
  CONSTRAINT ck_event_counts_event_nature CHECK (nature IN ('', 'human', 'machine', 'own', 'hard', 'soft', 'retried'))
);

CREATE TABLE event_domains (
  task_id INTEGER NOT NULL,
  domain VARCHAR(255) NOT NULL,
  type VARCHAR(32) NOT NULL,
  nature VARCHAR(32) NOT NULL,
  events INTEGER DEFAULT '0' NOT NULL,
  recipients INTEGER DEFAULT '0' NOT NULL,
  firsts INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_event_domains PRIMARY KEY (task_id, domain, type, nature),
  CONSTRAINT ck_event_domains_event_type CHECK (type IN ('send_api_try', 'send_api_success', 'send_api_fail', 'delivered', 'open', 'click', 'reply', 'unsubscribe', 'bounce', 'complaint')),
  CONSTRAINT ck_event_domains_event_nature CHECK (nature IN ('', 'human', 'machine', 'own', 'hard', 'soft', 'retried'))
);

CREATE TABLE event_links (
  task_id INTEGER NOT NULL,
  template_id INTEGER NOT NULL,
  digest VARCHAR(64) NOT NULL,
  nature VARCHAR(32) NOT NULL,
  url TEXT NOT NULL,
  clicks INTEGER DEFAULT '0' NOT NULL,
  recipients INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_event_links PRIMARY KEY (task_id, template_id, digest, nature),
  CONSTRAINT ck_event_links_event_nature CHECK (nature IN ('', 'human', 'machine', 'own', 'hard', 'soft', 'retried'))
);

CREATE TABLE event_log (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  task_id INTEGER,
  contact_id INTEGER,
  sender_service_id INTEGER,
  event_tracking_uid VARCHAR(255),
  type VARCHAR(32) NOT NULL,
  ts DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  details JSON,
  dedup_key VARCHAR(128),
  CONSTRAINT ck_event_log_event_type CHECK (type IN ('send_api_try', 'send_api_success', 'send_api_fail', 'delivered', 'open', 'click', 'reply', 'unsubscribe', 'bounce', 'complaint')),
  CONSTRAINT uq_event_log_dedup_key UNIQUE (dedup_key)
);

CREATE INDEX ix_event_log_task_contact ON event_log (task_id, contact_id);

CREATE INDEX ix_event_log_type_task_ts ON event_log (type, task_id, ts, contact_id);

CREATE TABLE inbox_messages (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  mailbox_id INTEGER NOT NULL,
  uid_validity BIGINT NOT NULL,
  uid BIGINT NOT NULL,
  kind VARCHAR(32) NOT NULL,
  received_at DATETIME NOT NULL,
  task_contact_id INTEGER,
  contact_id INTEGER,
  digest VARCHAR(64) NOT NULL,
  message_id VARCHAR(998),
  from_email VARCHAR(320),
  subject TEXT,
  text TEXT,
  raw BLOB,
  details JSON,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  category VARCHAR(50),
  CONSTRAINT ck_inbox_messages_message_kind CHECK (kind IN ('bounce', 'complaint', 'auto_reply', 'reply', 'other')),
  CONSTRAINT uq_inbox_messages_digest UNIQUE (digest)
);

CREATE INDEX ix_inbox_messages_contact_id ON inbox_messages (contact_id, received_at);

CREATE INDEX ix_inbox_messages_created_at ON inbox_messages (created_at);

CREATE TABLE leases (
  name VARCHAR(64) NOT NULL,
  worker_id INTEGER,
  expires_at DATETIME NOT NULL,
  CONSTRAINT pk_leases PRIMARY KEY (name)
);

CREATE TABLE provider_pauses (
  sender_service_id INTEGER NOT NULL,
  provider VARCHAR(100) NOT NULL,
  paused_until DATETIME,
  reason TEXT,
  times INTEGER DEFAULT '1' NOT NULL,
  CONSTRAINT pk_provider_pauses PRIMARY KEY (sender_service_id, provider)
);

CREATE TABLE send_counts (
  kind VARCHAR(32) NOT NULL,
  owner_id INTEGER NOT NULL,
  period DATETIME NOT NULL,
  "key" VARCHAR(255) NOT NULL,
  used INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT pk_send_counts PRIMARY KEY (kind, owner_id, period, "key"),
  CONSTRAINT ck_send_counts_count_kind CHECK (kind IN ('service_hour', 'service_domain', 'campaign_new'))
);

CREATE INDEX ix_send_counts_period ON send_counts (period);

CREATE TABLE sender_leases (
  sender_service_id INTEGER NOT NULL,
  worker_id INTEGER,
  next_send_at DATETIME,
  CONSTRAINT pk_sender_leases PRIMARY KEY (sender_service_id)
);

CREATE TABLE sender_quota (
  sender_service_id INTEGER NOT NULL,
  quota_day DATE NOT NULL,
  used INTEGER DEFAULT '0' NOT NULL,
  closed_at DATETIME,
  CONSTRAINT pk_sender_quota PRIMARY KEY (sender_service_id, quota_day)
);

CREATE TABLE sender_services (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(255) NOT NULL,
  type VARCHAR(50) DEFAULT 'jiguang' NOT NULL,
  credentials JSON,
  settings JSON,
  from_name VARCHAR(255),
  from_email VARCHAR(320) NOT NULL,
  daily_quota INTEGER DEFAULT '0' NOT NULL,
  used_today INTEGER DEFAULT '0' NOT NULL,
  throttle_sec NUMERIC(10, 3) DEFAULT '1' NOT NULL,
  time_zone VARCHAR(64) DEFAULT 'UTC' NOT NULL,
  health_status VARCHAR(32) DEFAULT 'active' NOT NULL,
  frozen_code VARCHAR(32),
  frozen_reason TEXT,
  cool_down_until DATETIME,
  cool_down_reason VARCHAR(255),
  last_error_at DATETIME,
  last_error TEXT,
  consecutive_errors INTEGER DEFAULT '0' NOT NULL,
  max_consecutive_errors INTEGER DEFAULT '5' NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  webhook_secret JSON,
  ramp JSON,
  hourly_quota INTEGER,
  domain_quota INTEGER,
  jitter_sec NUMERIC(10, 3) DEFAULT '0' NOT NULL,
  spread_hours NUMERIC(5, 2),
  CONSTRAINT uq_sender_services_name UNIQUE (name),
  CONSTRAINT ck_sender_services_health_status CHECK (health_status IN ('active', 'frozen')),
  CONSTRAINT ck_sender_services_freeze_code CHECK (frozen_code IN ('credentials', 'errors', 'suspended', 'manual'))
);

CREATE INDEX ix_sender_services_health_status ON sender_services (health_status);

CREATE TABLE sequence_stops (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  stop_key VARCHAR(330) NOT NULL,
  value VARCHAR(320),
  reason VARCHAR(32) NOT NULL,
  task_contact_id INTEGER,
  source VARCHAR(255),
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_sequence_stops_campaign_id_stop_key UNIQUE (campaign_id, stop_key),
  CONSTRAINT ck_sequence_stops_stop_reason CHECK (reason IN ('replied', 'bounced', 'manual'))
);

CREATE TABLE signing_keys (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  purpose VARCHAR(32) NOT NULL,
  secret JSON NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_signing_keys_purpose UNIQUE (purpose)
);

CREATE TABLE suppressions (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  suppression_key VARCHAR(330) NOT NULL,
  campaign_id INTEGER DEFAULT '0' NOT NULL,
  scope VARCHAR(32) NOT NULL,
  value VARCHAR(320),
  reason VARCHAR(32) NOT NULL,
  source VARCHAR(255),
  detail TEXT,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  list_name VARCHAR(100) DEFAULT '' NOT NULL,
  CONSTRAINT uq_suppressions_suppression_key_campaign_id_list_name UNIQUE (suppression_key, campaign_id, list_name),
  CONSTRAINT ck_suppressions_suppression_scope CHECK (scope IN ('address', 'domain', 'hashed')),
  CONSTRAINT ck_suppressions_suppression_reason CHECK (reason IN ('unsubscribe', 'complaint', 'hard_bounce', 'manual', 'import', 'erased'))
);

CREATE INDEX ix_suppressions_list_name ON suppressions (list_name);

CREATE TABLE unmatched_events (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  source VARCHAR(50) NOT NULL,
  received_at DATETIME NOT NULL,
  dedup_key VARCHAR(128),
  details JSON,
  CONSTRAINT uq_unmatched_events_dedup_key UNIQUE (dedup_key)
);

CREATE INDEX ix_unmatched_events_received_at ON unmatched_events (received_at);

CREATE TABLE users (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  username VARCHAR(255) NOT NULL,
  role VARCHAR(50) NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_users_username UNIQUE (username)
);

CREATE INDEX ix_users_role ON users (role);

CREATE TABLE webhook_payloads (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  provider VARCHAR(50) NOT NULL,
  received_at DATETIME NOT NULL,
  digest VARCHAR(64) NOT NULL,
  content_type VARCHAR(255),
  body BLOB,
  events INTEGER DEFAULT '0' NOT NULL,
  error TEXT,
  CONSTRAINT uq_webhook_payloads_digest UNIQUE (digest)
);

CREATE INDEX ix_webhook_payloads_received_at ON webhook_payloads (received_at);

CREATE TABLE workers (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  kind VARCHAR(32) NOT NULL,
  host VARCHAR(255) NOT NULL,
  host_id VARCHAR(64) NOT NULL,
  pid INTEGER NOT NULL,
  started_at DATETIME NOT NULL,
  heartbeat_at DATETIME NOT NULL,
  lease_until DATETIME NOT NULL,
  stopped_at DATETIME,
  details JSON,
  CONSTRAINT ck_workers_worker_kind CHECK (kind IN ('scheduler', 'sender'))
);

CREATE INDEX ix_workers_stopped_at ON workers (stopped_at);

CREATE TABLE campaigns (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(255) NOT NULL,
  start_time DATETIME,
  status VARCHAR(32) DEFAULT 'draft' NOT NULL,
  status_reason TEXT,
  created_by INTEGER NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  resumed_at DATETIME,
  time_zone VARCHAR(64),
  send_window JSON,
  holidays JSON,
  spread BOOLEAN DEFAULT 0 NOT NULL,
  stop_on_reply BOOLEAN DEFAULT 1 NOT NULL,
  stop_domain_on_reply BOOLEAN DEFAULT 1 NOT NULL,
  followups_first BOOLEAN DEFAULT 1 NOT NULL,
  new_per_day INTEGER,
  CONSTRAINT uq_campaigns_name UNIQUE (name),
  CONSTRAINT ck_campaigns_campaign_status CHECK (status IN ('draft', 'active', 'paused', 'completed', 'cancelled')),
  CONSTRAINT fk_campaigns_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_campaigns_created_by ON campaigns (created_by);

CREATE INDEX ix_campaigns_start_time ON campaigns (start_time);

CREATE INDEX ix_campaigns_status ON campaigns (status);

CREATE TABLE email_variables (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  variable_key VARCHAR(100) NOT NULL,
  display_name VARCHAR(255) NOT NULL,
  source_type VARCHAR(32) NOT NULL,
  source_details JSON,
  description TEXT,
  created_by INTEGER NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_email_variables_variable_key UNIQUE (variable_key),
  CONSTRAINT ck_email_variables_variable_source CHECK (source_type IN ('CONTACT_FIELD', 'CONTACT_TAG', 'SYSTEM')),
  CONSTRAINT fk_email_variables_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_email_variables_created_by ON email_variables (created_by);

CREATE TABLE mailboxes (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(255) NOT NULL,
  sender_service_id INTEGER,
  settings JSON,
  credentials JSON,
  enabled BOOLEAN DEFAULT 1 NOT NULL,
  uid_validity BIGINT,
  last_uid BIGINT,
  polled_at DATETIME,
  failed_at DATETIME,
  last_error TEXT,
  error_code VARCHAR(50),
  consecutive_errors INTEGER DEFAULT '0' NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_mailboxes_name UNIQUE (name),
  CONSTRAINT fk_mailboxes_sender_service_id FOREIGN KEY(sender_service_id) REFERENCES sender_services (id)
);

CREATE INDEX ix_mailboxes_sender_service_id ON mailboxes (sender_service_id);

CREATE TABLE template_sets (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(255) NOT NULL,
  created_by INTEGER NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_template_sets_name UNIQUE (name),
  CONSTRAINT fk_template_sets_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_template_sets_created_by ON template_sets (created_by);

CREATE TABLE templates (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name VARCHAR(255) NOT NULL,
  subject VARCHAR(500) NOT NULL,
  body TEXT NOT NULL,
  text_body TEXT,
  created_by INTEGER NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_templates_name UNIQUE (name),
  CONSTRAINT fk_templates_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_templates_created_by ON templates (created_by);

CREATE TABLE user_sender_service_access (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  sender_service_id INTEGER NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  CONSTRAINT uq_user_sender_service_access_user_id_sender_service_id UNIQUE (user_id, sender_service_id),
  CONSTRAINT fk_user_sender_service_access_user_id FOREIGN KEY(user_id) REFERENCES users (id),
  CONSTRAINT fk_user_sender_service_access_sender_service_id FOREIGN KEY(sender_service_id) REFERENCES sender_services (id)
);

CREATE INDEX ix_user_sender_service_access_sender_service_id ON user_sender_service_access (sender_service_id);

CREATE INDEX ix_user_sender_service_access_user_id ON user_sender_service_access (user_id);

CREATE TABLE tasks (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  campaign_id INTEGER NOT NULL,
  name VARCHAR(255) NOT NULL,
  plan_time DATETIME,
  status VARCHAR(32) DEFAULT 'draft' NOT NULL,
  status_reason TEXT,
  recipient_rule JSON NOT NULL,
  template_set_id INTEGER NOT NULL,
  actual_start_time DATETIME,
  actual_end_time DATETIME,
  summary_stats JSON,
  expand_cursor INTEGER DEFAULT '0' NOT NULL,
  expand_to INTEGER,
  expanded_at DATETIME,
  expanded_count INTEGER DEFAULT '0' NOT NULL,
  template_ids JSON,
  created_by INTEGER NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  updated_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  follows_task_id INTEGER,
  follows_days INTEGER DEFAULT '0' NOT NULL,
  follows_business_days BOOLEAN DEFAULT 0 NOT NULL,
  follows_condition JSON,
  enrolled_to DATETIME,
  experiment JSON,
  CONSTRAINT uq_tasks_campaign_id_name UNIQUE (campaign_id, name),
  CONSTRAINT fk_tasks_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id),
  CONSTRAINT ck_tasks_task_status CHECK (status IN ('draft', 'scheduled', 'sending', 'finished', 'paused', 'failed', 'cancelled')),
  CONSTRAINT fk_tasks_template_set_id FOREIGN KEY(template_set_id) REFERENCES template_sets (id),
  CONSTRAINT fk_tasks_created_by FOREIGN KEY(created_by) REFERENCES users (id)
);

CREATE INDEX ix_tasks_campaign_id ON tasks (campaign_id);

CREATE INDEX ix_tasks_created_by ON tasks (created_by);

CREATE INDEX ix_tasks_follows_task_id ON tasks (follows_task_id);

CREATE INDEX ix_tasks_plan_time ON tasks (plan_time);

CREATE INDEX ix_tasks_status ON tasks (status);

CREATE INDEX ix_tasks_template_set_id ON tasks (template_set_id);

CREATE TABLE template_set_items (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  template_set_id INTEGER NOT NULL,
  template_id INTEGER NOT NULL,
  "order" INTEGER DEFAULT '0' NOT NULL,
  created_at DATETIME DEFAULT CURRENT_TIMESTAMP NOT NULL,
  weight INTEGER DEFAULT '1' NOT NULL,
  CONSTRAINT uq_template_set_items_template_set_id_template_id UNIQUE (template_set_id, template_id),
  CONSTRAINT fk_template_set_items_template_set_id FOREIGN KEY(template_set_id) REFERENCES template_sets (id),
  CONSTRAINT fk_template_set_items_template_id FOREIGN KEY(template_id) REFERENCES templates (id)
);

CREATE INDEX ix_template_set_items_template_id ON template_set_items (template_id);

CREATE INDEX ix_template_set_items_template_set_id ON template_set_items (template_set_id);

CREATE INDEX ix_template_set_items_template_set_id_order ON template_set_items (template_set_id, "order");

CREATE TABLE task_contacts (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  task_id INTEGER NOT NULL,
  contact_id INTEGER NOT NULL,
  status VARCHAR(32) DEFAULT 'pending' NOT NULL,
  selected_template_id INTEGER,
  scheduled_send_at DATETIME,
  sent_at DATETIME,
  error_message TEXT,
  event_tracking_uid VARCHAR(255),
  reason VARCHAR(100),
  bucket SMALLINT DEFAULT '0' NOT NULL,
  attempt INTEGER DEFAULT '0' NOT NULL,
  retries INTEGER DEFAULT '0' NOT NULL,
  first_attempt_at DATETIME,
  attempt_at DATETIME,
  claim_token INTEGER,
  sender_service_id INTEGER,
  message_id VARCHAR(255),
  delivered_at DATETIME,
  opened_at DATETIME,
  clicked_at DATETIME,
  replied_at DATETIME,
  bounced_at DATETIME,
  unsubscribed_at DATETIME,
  complained_at DATETIME,
  follows_id INTEGER,
  subject VARCHAR(998),
  reply_category VARCHAR(50),
  CONSTRAINT uq_task_contacts_task_id_contact_id UNIQUE (task_id, contact_id),
  CONSTRAINT fk_task_contacts_task_id FOREIGN KEY(task_id) REFERENCES tasks (id),
  CONSTRAINT fk_task_contacts_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id),
  CONSTRAINT ck_task_contacts_row_status CHECK (status IN ('pending', 'sending', 'sent', 'failed_to_send', 'unknown', 'skipped', 'delivered', 'bounced', 'opened', 'clicked', 'replied', 'unsubscribed', 'complained')),
  CONSTRAINT fk_task_contacts_selected_template_id FOREIGN KEY(selected_template_id) REFERENCES templates (id),
  CONSTRAINT uq_task_contacts_event_tracking_uid UNIQUE (event_tracking_uid)
);

CREATE INDEX ix_task_contacts_contact_id ON task_contacts (contact_id);

CREATE INDEX ix_task_contacts_lease ON task_contacts (task_id, status, bucket, scheduled_send_at);

CREATE INDEX ix_task_contacts_selected_template_id ON task_contacts (selected_template_id);

CREATE TABLE task_services (
  task_id INTEGER NOT NULL,
  sender_service_id INTEGER NOT NULL,
  CONSTRAINT pk_task_services PRIMARY KEY (task_id, sender_service_id),
  CONSTRAINT fk_task_services_task_id FOREIGN KEY(task_id) REFERENCES tasks (id),
  CONSTRAINT fk_task_services_sender_service_id FOREIGN KEY(sender_service_id) REFERENCES sender_services (id)
);

CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

INSERT INTO alembic_version (version_num) VALUES ('0004') RETURNING alembic_version.version_num;
