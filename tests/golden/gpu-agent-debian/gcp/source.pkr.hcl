variable "project" {
  type        = string
  description = "The project in which the image is baked and kept."
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
  description = "SSH port of the build instance."
  default     = 22
}

locals {
  labels = {
    "managed-by"       = "goldbake"
    "goldbake-bake"    = var.bake
    "goldbake-image"   = "gpu-agent-debian"
    "goldbake-expires" = var.expires
  }
}

source "googlecompute" "golden" {
  project_id       = var.project
  zone             = "us-central1-a"
  machine_type     = "n2-standard-4"
  access_token     = var.access_token != "" ? var.access_token : null
  custom_endpoints = var.endpoint != "" ? { compute = var.endpoint } : null

  source_image_family     = "debian-12"
  source_image_project_id = ["debian-cloud"]

  instance_name                   = "goldbake-${var.bake}"
  on_host_maintenance             = "MIGRATE"
  disk_type                       = "pd-balanced"
  disk_size                       = 32
  disable_default_service_account = true
  wrap_startup_script             = false
  state_timeout                   = "20m"
  max_run_duration_in_seconds     = 14400
  instance_termination_action     = "DELETE"
  labels                          = local.labels

  image_name        = "gpu-agent-debian-${var.bake}"
  image_family      = "gpu-agent-debian"
  image_description = "Debian 12 with NVIDIA's, Docker's and Microsoft's own packages"
  image_labels      = local.labels

  communicator            = "ssh"
  ssh_username            = "packer"
  ssh_host                = var.ssh_host != "" ? var.ssh_host : null
  ssh_port                = var.ssh_port
  temporary_key_pair_type = "ed25519"
  use_os_login            = false
}
