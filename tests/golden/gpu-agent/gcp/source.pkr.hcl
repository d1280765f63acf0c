variable "project" {
  type        = string
  description = "The project in which the image is baked and kept."
}

variable "zone" {
  type        = string
  description = "The zone of the instance."
}

variable "source_image" {
  type        = string
  description = "The image to start from: the newest base image when the bake began, or the baked one that is checked."
}

variable "source_project" {
  type        = string
  description = "The project of source_image."
}

variable "source_features" {
  type        = list(string)
  description = "Guest OS features of source_image, which the new image has as well."
  default     = []
}

variable "spot" {
  type        = bool
  description = "Spare capacity instead of an instance on demand."
  default     = false
}

variable "checking" {
  type        = bool
  description = "Only look at a finished image: nothing is made of the instance."
  default     = false
}

variable "endpoint" {
  type        = string
  description = "Another Compute endpoint, as http://HOST:PORT/compute/v1/; empty means Google's."
  default     = ""
}

variable "access_token" {
  type        = string
  description = "A bearer token; empty means application default credentials."
  default     = ""
  sensitive   = true
}

variable "ssh_host" {
  type        = string
  description = "Another address for SSH than the instance's own, as behind a forwarder."
  default     = ""
}

variable "ssh_port" {
  type        = number
  description = "SSH port of the instance."
  default     = 22
}

locals {
  features = []

  given = {}

  run_labels = merge(local.given, {
    "managed-by"       = "goldbake"
    "goldbake-bake"    = var.bake
    "goldbake-image"   = "gpu-agent"
    "goldbake-expires" = var.expires
  })
  image_labels = merge(local.run_labels, {
    "goldbake-fingerprint" = var.fingerprint
    "goldbake-checks"      = "pending"
  })
}

source "googlecompute" "golden" {
  project_id       = var.project
  zone             = var.zone
  machine_type     = "n2-standard-4"
  access_token     = var.access_token != "" ? var.access_token : null
  custom_endpoints = var.endpoint != "" ? { compute = var.endpoint } : null

  source_image            = var.source_image
  source_image_project_id = [var.source_project]
  skip_create_image       = var.checking

  instance_name               = var.checking ? "goldbake-${var.bake}-check" : "goldbake-${var.bake}"
  labels                      = local.run_labels
  preemptible                 = var.spot
  on_host_maintenance         = var.spot ? "TERMINATE" : "MIGRATE"
  disk_type                   = "pd-balanced"
  disk_size                   = 32
  wrap_startup_script         = false
  state_timeout               = "20m"
  max_run_duration_in_seconds = 14400
  instance_termination_action = "DELETE"

  enable_vtpm                 = true
  enable_integrity_monitoring = true

  disable_default_service_account = true

  omit_external_ip = false
  use_internal_ip  = false
  use_iap          = false

  image_name              = var.checking ? "goldbake-${var.bake}" : "gpu-agent-${var.bake}"
  image_description       = "Ubuntu 24.04 with NVIDIA's, Docker's and Microsoft's own packages"
  image_labels            = local.image_labels
  image_guest_os_features = distinct(concat(var.source_features, local.features))

  communicator            = "ssh"
  ssh_username            = var.checking ? "goldbake" : "packer"
  ssh_host                = var.ssh_host != "" ? var.ssh_host : null
  ssh_port                = var.ssh_port
  ssh_timeout             = "15m"
  temporary_key_pair_type = "ed25519"
  use_os_login            = false
}
